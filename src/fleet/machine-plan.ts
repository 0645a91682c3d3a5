// What the machines of an endpoint are made of: its settings, its opened environment, and what each worker needs to work for it.
import type { Config } from "../config.ts";
import type { CalledMachine } from "../contract/fleet.ts";
import type { ManagedEndpoint } from "../contract/manage/managed-endpoint.ts";
import { envPlace } from "../core/access/sealing.ts";
import { messageOf } from "../core/failure.ts";
import { checkBase, machineVariables, workerVariables } from "../core/manage/worker-forms.ts";
import { makeFleetKey } from "../outbound/fleet-key.ts";
import { openEnv } from "../outbound/sealed-env.ts";
import type { MachinePlan } from "./driver.ts";
import { workerPort } from "./worker-port.ts";

/** A plan, or why no machine can be made, as a sentence. */
export type Planned =
  | { readonly ok: true; readonly plan: MachinePlan }
  | { readonly ok: false; readonly problem: string };

export async function planMachines(endpoint: ManagedEndpoint, config: Config): Promise<Planned> {
  const { fleet, id: endpointId, kind, sealedEnv } = endpoint;
  const { image, gpu } = fleet;
  if (image === undefined) return { ok: false, problem: "The endpoint has no image: set image." };
  const reached = reachWorkers(kind, config);
  if (!reached.ok) return reached;
  let own: Readonly<Record<string, string>>;
  try {
    own = await openEnv(sealedEnv, config.encryptionKey, envPlace(endpointId));
  } catch (cause) {
    return { ok: false, problem: `The endpoint's env cannot be opened: ${messageOf(cause)}.` };
  }
  const env = kind === "load_balancer" ? withServerVariables(own) : own;
  const httpPort = kind === "load_balancer" ? workerPort(env.PORT) : null;
  if (kind === "load_balancer" && httpPort === null)
    return { ok: false, problem: "PORT in the endpoint's env must be a port, a whole number from 1 to 65535." };
  const worker = {
    image,
    args: fleet.args ?? null,
    disk: fleet.disk ?? null,
    ports: fleet.ports ?? [],
    httpPort,
    registry: fleet.registry ?? null,
    gpuCount: gpu?.count ?? 1,
    allowedCudaVersions: gpu?.allowedCudaVersions ?? [],
    minCudaVersion: gpu?.minCudaVersion ?? null,
    dataCenterIds: fleet.dataCenterIds,
    networkVolumes: fleet.networkVolumes,
    env,
  };
  const variablesOf = async (machine: CalledMachine) => {
    const { instanceId, gpuTypeId } = machine;
    if (reached.base === null) return Object.fromEntries(machineVariables(endpointId, machine));
    const key = await makeFleetKey(config.pepper, { endpointId, instanceId });
    return Object.fromEntries(workerVariables({ base: reached.base, endpointId, key, gpu: gpuTypeId, machine }));
  };
  return { ok: true, plan: { worker, variablesOf } };
}

/** `base`: where workers fetch their jobs; null: they are called, and fetch none. */
function reachWorkers(
  kind: ManagedEndpoint["kind"],
  { publicUrl, reach }: Config,
): { readonly ok: true; readonly base: string | null } | { readonly ok: false; readonly problem: string } {
  if (kind === "load_balancer") return { ok: true, base: null };
  if (publicUrl === null) {
    const problem =
      "PUBLIC_URL is not set, so that a worker would not be told where to fetch its jobs: set it in wrangler.toml.";
    return { ok: false, problem };
  }
  const checked = checkBase(publicUrl, reach.allowPrivate);
  return checked.ok ? checked : { ok: false, problem: `PUBLIC_URL ${checked.problem}.` };
}

/** What RunPod gives its load-balanced workers (docs/wire.md 6), where the endpoint has no variables of its own for it. */
function withServerVariables(own: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const port = own.PORT ?? "80";
  return { PORT: port, PORT_HEALTH: port, HEALTH_CHECK_PATH: "/ping", ...own };
}
