// Who pulls: the endpoint, the key and the name that a worker's request carries. The endpoint's broker knows its keys, so
// none of this needs D1; D1 is asked only for what the broker has not heard of yet.
import { callBroker } from "../broker/stub.ts";
import { readConfig } from "../config.ts";
import type { WorkerCall } from "../contract/worker.ts";
import type { Failure, Result } from "../core/failure.ts";
import { fail, ok } from "../core/failure.ts";
import { parseJobId } from "../core/job-id.ts";
import { isWorkerId } from "../core/worker-id.ts";
import { loadEndpointSettings } from "../db/endpoints.ts";
import { hasDigest, NO_DIGEST, readKey } from "./auth.ts";
import { findEndpointId } from "./endpoints.ts";
import { LastGood } from "./last-good.ts";
import { flatten, type RouteContext } from "./routing.ts";

/** A worker's request, let in. */
export interface WorkerEntry extends WorkerCall {
  readonly endpointId: string;
  /** Query parameters, also where the SDK has appended them without a `?`. */
  readonly query: URLSearchParams;
}

/** One about a job that it names. */
export interface WorkerJobEntry extends WorkerEntry {
  readonly jobId: string;
}

const keys = new LastGood<{ readonly digest: string }>();

/** Thrown through LastGood, which keeps what was good before a failure. */
class Unanswered extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.kind);
    this.failure = failure;
  }
}

/** Lets a worker in that names a job. An id that we cannot have given out is the usual 404, before the body is read. */
export async function enterWorkerJob(c: RouteContext): Promise<Result<WorkerJobEntry>> {
  const entered = await enterWorker(c);
  if (!entered.ok) return entered;
  const jobId = cutParameters(c.req.param("job") ?? "", entered.value.query);
  return parseJobId(jobId) === null ? fail({ kind: "not_found" }) : ok({ ...entered.value, jobId });
}

/** Checks endpoint, key and worker id, in this order of cost: a mistyped key asks nobody. */
export async function enterWorker(c: RouteContext): Promise<Result<WorkerEntry>> {
  const presented = readKey(c.req.raw.headers);
  if (presented === null) return fail({ kind: "unauthorized" });
  const named = readNames(c);
  if (!named.ok) return named;
  // While D1 is down a name is taken for an id: the broker of an endpoint that is none knows no key.
  const name = c.req.param("endpoint") ?? "";
  const endpointId = await findEndpointId(name, c.env, name);
  if (endpointId === null) return fail({ kind: "not_found" });
  try {
    const { key, id: keyId } = presented;
    const load = () => loadKey(c.env, endpointId, keyId);
    const stored = await keys.get(`${endpointId}/${keyId}`, Date.now(), load);
    const genuine = await hasDigest(key, stored?.digest ?? NO_DIGEST, readConfig(c.env).pepper);
    if (stored === null || !genuine) return fail({ kind: "unauthorized" });
    return ok({ endpointId, keyId, ...named.value });
  } catch (error) {
    if (error instanceof Unanswered) return fail(error.failure);
    throw error;
  }
}

/** The name in a segment of the path. Where an address lacks its `?`, the SDK's parameters stand behind it. */
function cutParameters(segment: string, query: URLSearchParams): string {
  const [name = "", ...rest] = segment.split("&");
  for (const [key, value] of new URLSearchParams(rest.join("&"))) query.append(key, value);
  return name;
}

function readNames(c: RouteContext): Result<Pick<WorkerEntry, "workerId" | "query">> {
  const query = new URL(c.req.raw.url).searchParams;
  const workerId = cutParameters(c.req.param("worker") ?? "", query);
  if (isWorkerId(workerId)) return ok({ workerId, query });
  const message = "must be 1 to 128 visible ASCII characters: set RUNPOD_POD_ID";
  return fail({ kind: "invalid", field: "worker id", message });
}

/** From the broker; a key that it has not heard of may be newer than its settings. Null: there is no such key. */
async function loadKey(env: Env, endpointId: string, keyId: string): Promise<{ readonly digest: string } | null> {
  const ask = () => callBroker(env, endpointId, (broker) => broker.workerKey({ keyId }), { idempotent: true });
  const first = flatten(await ask());
  if (first.ok && first.value !== null) return first.value;
  if (!first.ok && first.failure.kind !== "settings_behind") throw new Unanswered(first.failure);
  const settings = await loadEndpointSettings(env.DB, endpointId).catch(() => undefined);
  if (settings === undefined) {
    throw new Unanswered({ kind: "unavailable", message: "worker keys cannot be checked right now" });
  }
  if (settings === null || !settings.workerKeys.some(({ id }) => id === keyId)) return null;
  const told = await callBroker(env, endpointId, (broker) => broker.configure(settings), { idempotent: true });
  if (!told.ok) throw new Unanswered(told.failure);
  const second = flatten(await ask());
  if (!second.ok) throw new Unanswered(second.failure);
  return second.value;
}
