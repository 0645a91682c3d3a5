// Checks who pulls: the endpoint, the key and the name in a worker's request. The endpoint's broker has its keys, so
// that workers need no D1. D1 is queried only for keys that the broker may not have received yet, and once for each key
// that is new to this isolate, because a made-up key must start no broker.
import { readConfig } from "../../config.ts";
import type { EndpointSettings } from "../../contract/settings.ts";
import type { WorkerCall } from "../../contract/worker.ts";
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import { parseJobId } from "../../core/job/id.ts";
import { isWorkerId } from "../../core/job/worker-id.ts";
import { KEY_MISSING_MS } from "../../core/limits.ts";
import { loadEndpointSettings } from "../../db/endpoints.ts";
import { ImportUnfinished } from "../../db/importing.ts";
import { findWorkerKey, type WorkerKeyPlace } from "../../db/keys.ts";
import { StaleCache } from "../../db/stale-cache.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { log } from "../../log.ts";
import { instanceOfKey } from "../../outbound/fleet-key.ts";
import { isGenuine, type PresentedKey, readKey } from "../kit/auth.ts";
import type { RouteContext } from "../kit/context.ts";
import { refuseCaller, refuseToAsk } from "../kit/failed-callers.ts";
import { findEndpointId, knownEndpointId, noteEndpointId } from "../kit/find-endpoint.ts";

/** A worker's request that was let in. */
export interface WorkerEntry {
  readonly worker: WorkerCall;
  readonly broker: BrokerClient;
  /** Query parameters, including those that the SDK has appended without a `?`. */
  readonly query: URLSearchParams;
}

/** A worker's request about a job that it names. */
export interface WorkerJobEntry extends WorkerEntry {
  readonly jobId: string;
}

/** Keys that brokers have returned, by endpoint and key. */
const keys = new StaleCache<{ readonly digest: string }>();
/** Keys that D1 has returned and that no broker was asked for yet. */
const places = new StaleCache<WorkerKeyPlace>(KEY_MISSING_MS);

/** Thrown out of StaleCache, which then keeps and uses an older value. */
class Unanswered extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.kind);
    this.failure = failure;
  }
}

/** Lets a worker in that names a job. An id that we cannot have given out gets a 404 before the body is read. */
export async function enterWorkerJob(c: RouteContext): Promise<Result<WorkerJobEntry>> {
  const entered = await enterWorker(c);
  if (!entered.ok) return entered;
  const jobId = cutParameters(c.req.param("job") ?? "", entered.value.query);
  return parseJobId(jobId) === null ? fail({ kind: "not_found", what: "job" }) : ok({ ...entered.value, jobId });
}

/** Checks key, endpoint and worker id, the cheapest first: a mistyped key costs no call, a made-up key no broker's. */
export async function enterWorker(c: RouteContext): Promise<Result<WorkerEntry>> {
  const { headers } = c.req.raw;
  const presented = readKey(headers);
  if (presented === null) return fail(await refuseCaller(headers, c.env, Date.now()));
  const named = readNames(c);
  if (!named.ok) return named;
  const endpointId = await checkKey(c, presented, c.req.param("endpoint") ?? "");
  if (endpointId.ok) {
    const { workerId, query } = named.value;
    const broker = new BrokerClient(c.env, endpointId.value);
    return ok({ worker: { keyId: presented.id, workerId }, broker, query });
  }
  if (endpointId.failure.kind !== "unauthorized") return endpointId;
  const refusal = await refuseCaller(headers, c.env, Date.now());
  return refusal.kind === "unauthorized" ? endpointId : fail(refusal);
}

/** The endpoint that a name stands for, if its broker has the key. */
async function checkKey(c: RouteContext, presented: PresentedKey, name: string): Promise<Result<string>> {
  const nowMs = Date.now();
  // The worker of a fleet's machine names its endpoint by its id. Nothing about its key is stored in D1.
  const instanceId = await instanceOfKey(readConfig(c.env).pepper, name, presented.key);
  if (instanceId !== null) return checkInstance(c.env, name, instanceId, nowMs);
  const located = await locate(c, presented, name, nowMs);
  if (!located.ok) return located;
  const endpointId = located.value;
  try {
    const load = () => loadKey(c.env, endpointId, presented.id);
    const stored = await keys.get(`${endpointId}/${presented.id}`, nowMs, load);
    const genuine = await isGenuine(presented, stored?.digest ?? null, readConfig(c.env).pepper);
    return stored !== null && genuine ? located : fail({ kind: "unauthorized" });
  } catch (error) {
    if (error instanceof Unanswered) return fail(error.failure);
    throw error;
  }
}

/** The key is genuine; the broker tells whether the machine that it was made for is still one of its own. */
async function checkInstance(env: Env, endpointId: string, instanceId: string, nowMs: number): Promise<Result<string>> {
  try {
    const load = () => loadKey(env, endpointId, instanceId, async () => null);
    const stored = await keys.get(`${endpointId}/${instanceId}`, nowMs, load);
    return stored === null ? fail({ kind: "unauthorized" }) : ok(endpointId);
  } catch (error) {
    if (error instanceof Unanswered) return fail(error.failure);
    throw error;
  }
}

/** The endpoint whose broker may be asked for the key. A key that cached values prove to be false costs no call. */
async function locate(c: RouteContext, presented: PresentedKey, name: string, nowMs: number): Promise<Result<string>> {
  const { pepper } = readConfig(c.env);
  const knownId = knownEndpointId(name);
  const known = knownId === undefined ? undefined : keys.peek(`${knownId}/${presented.id}`);
  if (knownId !== undefined && known !== undefined) {
    // The digest of a key never changes, so another secret under the same id is a stranger's.
    return (await isGenuine(presented, known.digest, pepper)) ? ok(knownId) : fail({ kind: "unauthorized" });
  }
  const refused = places.isUnknown(presented.id, nowMs) ? refuseToAsk(c.req.raw.headers, nowMs) : null;
  if (refused !== null) return fail(refused);
  let place: WorkerKeyPlace | null;
  try {
    place = await places.get(presented.id, nowMs, () => findWorkerKey(c.env.DB, presented.id));
  } catch (error) {
    log("key_lookup_failed", { error: String(error) });
    if (error instanceof ImportUnfinished) return fail({ kind: "unavailable", message: error.message });
    // While D1 is down a name is taken for an id: if no endpoint has that id, its broker has no keys and refuses.
    return found(await findEndpointId(name, c.env, name));
  }
  const genuine = await isGenuine(presented, place?.digest ?? null, pepper);
  if (place === null || !genuine) return fail({ kind: "unauthorized" });
  if (place.endpointId === null) return fail({ kind: "unauthorized", misused: "client_key" });
  // The same where no endpoint has this name: the key's holder must not learn which names others have taken.
  if (name !== place.endpointId && name !== place.slug) {
    return fail({ kind: "unauthorized", misused: "other_endpoint" });
  }
  noteEndpointId(name, place.endpointId);
  return ok(place.endpointId);
}

function found(endpointId: string | null): Result<string> {
  return endpointId === null ? fail({ kind: "not_found" }) : ok(endpointId);
}

/** The name in a segment of the path. If an address lacks its `?`, the SDK's parameters follow the name. */
function cutParameters(segment: string, query: URLSearchParams): string {
  const [name = "", ...rest] = segment.split("&");
  for (const [key, value] of new URLSearchParams(rest.join("&"))) query.append(key, value);
  return name;
}

/** The release of the worker's SDK: `1.12.0` of `RunPod-Python-SDK/1.12.0 (Linux …)`, or `Waybill-Worker/0.1.0`. */
export function readVersion(headers: Headers): string | null {
  const agent = headers.get("user-agent") ?? "";
  return /^RunPod-Python-SDK\/(\S+)/.exec(agent)?.[1] ?? /^Waybill-Worker\/\S+/.exec(agent)?.[0] ?? null;
}

function readNames(c: RouteContext): Result<{ readonly workerId: string; readonly query: URLSearchParams }> {
  const query = new URL(c.req.raw.url).searchParams;
  const workerId = cutParameters(c.req.param("worker") ?? "", query);
  if (isWorkerId(workerId)) return ok({ workerId, query });
  const message = "must be 1 to 128 visible ASCII characters: set RUNPOD_POD_ID";
  return fail({ kind: "invalid", field: "worker id", message });
}

/** The broker's copy of a key; a key that it lacks may be newer than its settings. Null: there is no such key. */
async function loadKey(
  env: Env,
  endpointId: string,
  keyId: string,
  newer = () => newerSettings(env, endpointId, keyId),
): Promise<{ readonly digest: string } | null> {
  const key = await new BrokerClient(env, endpointId, newer).call("workerKey", { keyId });
  if (key.ok) return key.value;
  if (key.failure.kind === "settings_behind") return null;
  throw new Unanswered(key.failure);
}

async function newerSettings(env: Env, endpointId: string, keyId: string): Promise<EndpointSettings | null> {
  const settings = await loadEndpointSettings(env.DB, endpointId).catch(() => undefined);
  if (settings !== undefined) return settings?.workerKeys.some(({ id }) => id === keyId) === true ? settings : null;
  throw new Unanswered({ kind: "unavailable", message: "worker keys cannot be checked right now" });
}
