// An endpoint as RunPod's management API shows it; ours shows the same fields and some more.
import { readConfig } from "../../config.ts";
import type { WorkerEnv } from "../../contract/manage/fleet.ts";
import type { ManagedEndpoint } from "../../contract/manage/managed-endpoint.ts";
import type { RunPodEndpoint } from "../../contract/manage/runpod-endpoint.ts";
import { envPlace } from "../../core/access/sealing.ts";
import { POLICY_MAX_MS } from "../../core/limits.ts";
import { cpuMemoryGb } from "../../core/manage/fleet-change.ts";
import { isIdleTimeoutUnused } from "../../core/manage/fleet-rules.ts";
import { givenOf } from "../../core/manage/given.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import type { ManageContext } from "../../manage/context.ts";
import { typeOf } from "../../manage/requested-endpoint.ts";
import { openEnv } from "../../outbound/sealed-env.ts";
import type { RouteContext } from "./context.ts";

/** RunPod's form. `defaultIdleSeconds`: what is shown where the endpoint has no idle timeout of its own. */
export async function showRunPodEndpoint(
  c: RouteContext,
  caller: ManageContext["caller"],
  endpoint: ManagedEndpoint,
  defaultIdleSeconds: number,
): Promise<RunPodEndpoint> {
  const { id, name, kind, fleet, executionTimeoutMs, createdAtMs } = endpoint;
  const { cpu, workers, scaling, gpu, image, args, disk, ports, registry } = fleet;
  const { flashboot, dataCenterIds, networkVolumes } = fleet;
  const env = await visibleEnv(c.env, caller, endpoint);
  const idleTimeout = isIdleTimeoutUnused({ kind, scaling })
    ? {}
    : { idleTimeout: workers.idleTimeout ?? defaultIdleSeconds };
  return {
    id,
    name: name === "" ? endpoint.slug : name,
    type: typeOf(kind),
    requestUrls: requestUrls(c, endpoint, env),
    ...givenOf({ image, args, disk, ports, registry }),
    ...(env === null ? {} : { env }),
    gpu,
    ...(cpu === null ? {} : { cpu: cpu.map((each) => ({ ...each, memory: cpuMemoryGb(each) })) }),
    workers: { min: workers.min, max: workers.max, ...idleTimeout },
    scaling,
    flashboot,
    dataCenterIds,
    networkVolumes,
    timeout: executionTimeoutMs >= POLICY_MAX_MS ? 0 : executionTimeoutMs,
    createdAt: toTimeText(createdAtMs),
  };
}

/** The environment, for a key with the scope `manage` of the endpoint's own tenant; null for every other. */
export async function visibleEnv(
  env: Env,
  { scopes, tenantId }: ManageContext["caller"],
  endpoint: ManagedEndpoint,
): Promise<WorkerEnv | null> {
  if (!scopes.includes("manage") || endpoint.tenantId !== tenantId) return null;
  return openEnv(endpoint.sealedEnv, readConfig(env).encryptionKey, envPlace(endpoint.id));
}

/** Where the endpoint is called: under PUBLIC_URL, else where this request came in. */
function requestUrls(
  c: RouteContext,
  { id, kind }: ManagedEndpoint,
  env: WorkerEnv | null,
): RunPodEndpoint["requestUrls"] {
  const { publicUrl, lbDomain } = readConfig(c.env);
  const origin = publicUrl ?? new URL(c.req.url).origin;
  if (kind === "load_balancer") {
    const base = lbDomain === null ? `${origin}/lb/${id}` : `https://${id}.${lbDomain}`;
    const path = env?.HEALTH_CHECK_PATH ?? "/ping";
    return { base, health: `${base}${path.startsWith("/") ? "" : "/"}${path}` };
  }
  const root = `${origin}/v2/${id}`;
  return {
    run: `${root}/run`,
    runSync: `${root}/runsync`,
    status: `${root}/status/{job_id}`,
    stream: `${root}/stream/{job_id}`,
    cancel: `${root}/cancel/{job_id}`,
    retry: `${root}/retry/{job_id}`,
    purgeQueue: `${root}/purge-queue`,
    health: `${root}/health`,
  };
}
