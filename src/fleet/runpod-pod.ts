// RunPod's pods in REST v2: what is sent to make one, and what is read of one (docs/wire.md 8.7).
import * as z from "zod";
import type { CalledMachine } from "../contract/fleet.ts";
import { instanceName, type Listed, namePrefix } from "../core/fleet/provider.ts";
import type { MachinePlan } from "./driver.ts";
import { toNanodollars } from "./price.ts";
import { workerPort } from "./worker-port.ts";

/** Where RunPod's serverless workers find their network volume. */
const VOLUME_PATH = "/runpod-volume";
const DOLLARS_PER_HOUR_MAX = 1_000_000;

/** The body that makes a pod. What is left out is RunPod's default: secure cloud, any data center. */
export async function podRequest(
  endpointId: string,
  machine: CalledMachine,
  { worker, variablesOf }: MachinePlan,
  httpPort: number | null,
): Promise<Readonly<Record<string, unknown>>> {
  const { image, args, disk, registry, gpuCount, allowedCudaVersions, minCudaVersion } = worker;
  const ports = withHttpPort(worker.ports, httpPort);
  const [volumeId] = worker.networkVolumes;
  const cuda =
    allowedCudaVersions.length > 0 ? { allowedCudaVersions } : minCudaVersion === null ? {} : { minCudaVersion };
  return {
    name: instanceName(endpointId, machine.instanceId),
    image,
    gpu: { id: machine.gpuTypeId, count: gpuCount, ...cuda },
    ...(args === null ? {} : { args }),
    ...(disk === null ? {} : { disk }),
    ...(ports.length === 0 ? {} : { ports }),
    env: { ...worker.env, ...(await variablesOf(machine)) },
    ...(registry === null ? {} : { registry }),
    ...(worker.dataCenterIds.length === 0 ? {} : { dataCenterIds: worker.dataCenterIds }),
    // A pod takes one volume, and is then made where that is.
    ...(volumeId === undefined ? {} : { mounts: { network: [{ volumeId, path: VOLUME_PATH }] } }),
    startSsh: false,
    startJupyter: false,
  };
}

/** A load-balanced worker is called from outside, so its port must be open. */
function withHttpPort(ports: readonly string[], httpPort: number | null): readonly string[] {
  const own = httpPort === null ? null : `${httpPort}/http`;
  return own === null || ports.includes(own) ? ports : [...ports, own];
}

const podSchema = z.object({
  id: z.string().min(1).max(255),
  name: z.string(),
  status: z.string(),
  /** USD an hour. */
  cost: z.number().min(0).max(DOLLARS_PER_HOUR_MAX).nullish(),
  /** Its other variables are not read: there are secrets among them. */
  env: z.object({ PORT: z.string() }).nullish().catch(null),
});
type Pod = z.infer<typeof podSchema>;

const podListSchema = z.object({
  pods: z.array(z.looseObject({ name: z.string() })),
  pagination: z.object({ hasNextPage: z.boolean(), nextCursor: z.string().nullish() }).optional(),
});

/** Null: it is no pod. `httpPort`: that of the endpoint's load-balanced workers that are made now. */
export function readPod(body: unknown, httpPort: number | null): Listed | null {
  const parsed = podSchema.safeParse(body);
  return parsed.success ? toListed(parsed.data, httpPort) : null;
}

/** A page of a list: our machines in it, and where the next page begins (null: it was the last). Null: it is no list. */
export function readPods(
  body: unknown,
  endpointId: string,
  httpPort: number | null,
): { readonly machines: readonly Listed[]; readonly next: string | null } | null {
  const parsed = podListSchema.safeParse(body);
  if (!parsed.success) return null;
  const { pods, pagination } = parsed.data;
  const prefix = namePrefix(endpointId);
  const own = z.array(podSchema).safeParse(pods.filter(({ name }) => name.startsWith(prefix)));
  if (!own.success) return null;
  const next = pagination?.hasNextPage === true ? (pagination.nextCursor ?? "") : null;
  // There are more, and no way to them: a part of a list must not be taken for the whole.
  if (next === "") return null;
  return { machines: own.data.map((pod) => toListed(pod, httpPort)), next };
}

const STATUSES: ReadonlyMap<string, Listed["status"]> = new Map([
  ["PROVISIONING", "creating"],
  ["STARTING", "creating"],
  ["RUNNING", "running"],
  ["EXITED", "stopped"],
  ["ERROR", "failed"],
  ["TERMINATED", "ended"],
]);

function toListed({ id, name, status, cost, env }: Pod, httpPort: number | null): Listed {
  // The endpoint may have another PORT since, and a pod keeps what it was made with.
  const port = httpPort === null ? null : (workerPort(env?.PORT) ?? httpPort);
  return {
    name,
    ref: id,
    // A status that is new to us must not end a machine.
    status: STATUSES.get(status) ?? "running",
    priceNanodollarsPerHour: cost == null ? null : toNanodollars(cost),
    url: port === null ? null : `https://${id}-${port}.proxy.runpod.net`,
    detail: status === "ERROR" ? "RunPod shows the pod with the status ERROR." : null,
  };
}
