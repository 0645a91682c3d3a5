// What a pulling worker asks: job-take, job-take-batch, job-stop, ping (runpod-wire, section 3). RunPod's SDK asks again at once
// after any refusal, so each one is held a while.
import type { Hono } from "hono";
import { callBroker } from "../../broker/stub.ts";
import type { HandedJob, HandedLease } from "../../contract/worker.ts";
import { type Failure, ok, type Result } from "../../core/failure.ts";
import { REFUSAL_HOLD_MS, START_JOBS_MAX, STOP_HOLD_MS, WAIT_SLICE_MAX_MS } from "../../core/limits.ts";
import { jobParts } from "../../payload/job-body.ts";
import { spliceBody } from "../../payload/splice.ts";
import { jsonAnswer, rawAnswer } from "../kit/answer.ts";
import { flatten, type RouteContext, type Routing, refuse } from "../kit/routing.ts";
import { enterWorker, readVersion, type WorkerEntry } from "./auth.ts";

/** A worker's poll, also where the rest of the path is one that we do not have, such as a worker id with a slash in it. */
const POLL_PATH = /\/job-(?:take|take-batch|stop)(?:\/|$)/;

/** Holds a refusal of a poll, a crash of ours too: 12 requests a minute instead of 600 a second. */
export async function holdRefusal(c: RouteContext, { pathname }: URL): Promise<void> {
  if (c.res.status >= 400 && POLL_PATH.test(pathname)) await scheduler.wait(REFUSAL_HOLD_MS);
}

/** Adds the routes that workers poll. */
export function addWorkerRoutes(app: Hono<Routing>): void {
  app.get("/v2/:endpoint/job-take/:worker", (c) => take(c, false));
  app.get("/v2/:endpoint/job-take-batch/:worker", (c) => take(c, true));
  app.get("/v2/:endpoint/job-stop/:worker", stop);
  app.get("/v2/:endpoint/ping/:worker", ping);
}

function nothing(c: RouteContext): Response {
  return new Response(null, { status: 204, headers: { "x-request-id": c.get("requestId") } });
}

/** Hono gives a HEAD to the route of GET and drops its answer, with the jobs in it. */
const NO_HEAD: Failure = { kind: "method_not_allowed", allow: "GET" };

async function take(c: RouteContext, isBatch: boolean): Promise<Response> {
  if (c.req.raw.method === "HEAD") return refuse(c, NO_HEAD);
  const entered = await enterWorker(c);
  if (!entered.ok) return refuse(c, entered.failure);
  const worker = entered.value;
  const taking = takeJobs(c, worker, isBatch ? readBatchSize(worker.query) : 1);
  // A client that goes away ends this invocation; what it was given must go back all the same.
  c.executionCtx.waitUntil(taking.catch(() => undefined));
  const taken = await taking;
  if (!taken.ok) return refuse(c, taken.failure);
  const { jobs, handedOver } = taken.value;
  if (jobs.length === 0) return nothing(c);
  const answer = await handOver(c, worker, jobs, isBatch);
  handedOver();
  return answer;
}

interface Taken {
  readonly jobs: readonly HandedJob[];
  /** The answer is on its way: from here on nobody can say whether a client that goes away has read it. */
  readonly handedOver: () => void;
}

/** The jobs of one poll. When its client is gone by then they are given back, and there are none. */
async function takeJobs(c: RouteContext, worker: WorkerEntry, wanted: number): Promise<Result<Taken>> {
  const { endpointId, keyId, workerId, query } = worker;
  const { signal } = c.req.raw;
  const pollId = c.get("requestId");
  const abandon = (leases: readonly HandedLease[]) =>
    callBroker(c.env, endpointId, (broker) => broker.abandonTake({ keyId, workerId, pollId, leases }), {
      idempotent: true,
    });
  // Also while their inputs are read: nothing is written by then, so the worker has no job.
  let given: readonly HandedLease[] = [];
  const left = () => c.executionCtx.waitUntil(abandon(given));
  signal.addEventListener("abort", left);
  const handedOver = () => signal.removeEventListener("abort", left);
  const call = {
    keyId,
    workerId,
    pollId,
    wanted,
    idle: query.get("job_in_progress") === "0",
    gpu: shown(query.get("gpu")),
    version: shown(readVersion(c.req.raw.headers)),
  };
  // Not made again by itself: a poll whose answer was lost may have been given jobs, and the next one tells.
  const taken = flatten(await callBroker(c.env, endpointId, (broker) => broker.takeJobs(call), { idempotent: false }));
  if (!taken.ok) return taken;
  given = taken.value.map(({ jobId, lease }) => ({ jobId, lease }));
  if (!signal.aborted || given.length === 0) return ok({ jobs: taken.value, handedOver });
  await abandon(given);
  return ok({ jobs: [], handedOver });
}

/**
 * Answers with the jobs, as one object or as a list. An input that R2 has no more ends its job; while R2 does not answer, all
 * go back and wait.
 */
async function handOver(
  c: RouteContext,
  worker: WorkerEntry,
  jobs: readonly HandedJob[],
  isBatch: boolean,
): Promise<Response> {
  const bodies = jobs.flatMap((job, at) => [...(at === 0 ? [] : [","]), ...jobParts(job)]);
  const spliced = await spliceBody(isBatch ? ["[", ...bodies, "]"] : bodies, c.env.PAYLOADS);
  if (spliced.kind === "ok") return rawAnswer(200, spliced.body, c.get("requestId"));
  const lostKey = spliced.kind === "missing" ? spliced.key : null;
  const isBad = ({ input }: HandedJob): boolean => input.kind === "r2" && input.key === lostKey;
  const { endpointId, keyId, workerId } = worker;
  for (const job of jobs.filter(isBad)) {
    const error = "the input could not be read from R2: is not there any more";
    const outcome = { kind: "storage_failed", error } as const;
    const call = { jobId: job.jobId, lease: job.lease, outcome };
    await callBroker(c.env, endpointId, (broker) => broker.finish(call), { idempotent: true });
  }
  const leases = jobs.filter((job) => !isBad(job)).map(({ jobId, lease }) => ({ jobId, lease }));
  const call = { keyId, workerId, pollId: c.get("requestId"), leases };
  await callBroker(c.env, endpointId, (broker) => broker.abandonTake(call), { idempotent: true });
  const failure: Failure = { kind: "unavailable", message: "the storage of large inputs (R2) did not give an input" };
  return refuse(c, failure);
}

async function stop(c: RouteContext): Promise<Response> {
  if (c.req.raw.method === "HEAD") return refuse(c, NO_HEAD);
  const entered = await enterWorker(c);
  if (!entered.ok) return refuse(c, entered.failure);
  const { endpointId, keyId, workerId } = entered.value;
  const endMs = Date.now() + STOP_HOLD_MS;
  for (let leftMs = STOP_HOLD_MS; leftMs > 0 && !c.req.raw.signal.aborted; leftMs = endMs - Date.now()) {
    // In slices, so that a broker that was replaced is asked again soon.
    const call = { keyId, workerId, holdMs: Math.min(leftMs, WAIT_SLICE_MAX_MS) };
    const askedMs = Date.now();
    const stops = await callBroker(c.env, endpointId, (broker) => broker.awaitStops(call), { idempotent: false });
    if (!stops.ok) return refuse(c, stops.failure);
    if (stops.value === null) break;
    if (stops.value.length > 0) return jsonAnswer(200, { jobsToStop: stops.value }, c.get("requestId"));
    // The broker holds too many already.
    if (Date.now() < askedMs + call.holdMs / 2) await scheduler.wait(Math.min(leftMs, REFUSAL_HOLD_MS));
  }
  return nothing(c);
}

async function ping(c: RouteContext): Promise<Response> {
  const entered = await enterWorker(c);
  if (!entered.ok) return refuse(c, entered.failure);
  const { endpointId, keyId, workerId, query } = entered.value;
  const call = {
    keyId,
    workerId,
    jobIds: query.getAll("job_id").flatMap((list) => list.split(",").filter((id) => id !== "")),
    unfit: readUnfit(query),
    gpu: shown(query.get("gpu")),
    version: shown(query.get("runpod_version")),
  };
  const pinged = await callBroker(c.env, endpointId, (broker) => broker.ping(call), { idempotent: true });
  return pinged.ok ? jsonAnswer(200, { ok: true }, c.get("requestId")) : refuse(c, pinged.failure);
}

/** RunPod 1.11 and later: `status=unhealthy&check=…&reason=…` of a failed fitness check. */
function readUnfit(query: URLSearchParams): string | null {
  if (query.get("status") !== "unhealthy") return null;
  const check = shown(query.get("check")) ?? "an unnamed check";
  const reason = shown(query.get("reason"));
  return `Its fitness check ${check} failed${reason === null ? "" : `: ${reason}`}.`;
}

function readBatchSize(query: URLSearchParams): number {
  const size = Number(query.get("batch_size"));
  return Number.isInteger(size) && size > 0 ? Math.min(size, START_JOBS_MAX) : 1;
}

/** Words of a worker about itself that people are shown: cut to a line. */
const SHOWN_MAX_CHARS = 300;

function shown(text: string | null): string | null {
  return text === null || text === "" ? null : text.slice(0, SHOWN_MAX_CHARS);
}
