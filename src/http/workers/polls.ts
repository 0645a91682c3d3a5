// The calls of a pulling worker: job-take, job-take-batch, job-stop, ping (docs/wire.md 3). RunPod's SDK calls again at
// once after any refusal, so each refusal is held for a while.
import type { HandedJob, HandedLease } from "../../contract/worker.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { REFUSAL_HOLD_MS, START_JOBS_MAX, STOP_HOLD_MS, WAIT_SLICE_MAX_MS } from "../../core/limits.ts";
import { storageFailed } from "../../dispatch/classify.ts";
import { jobParts } from "../../payload/job-body.ts";
import { spliceBody } from "../../payload/splice.ts";
import { jsonAnswer, rawAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { Answered } from "../kit/route.ts";
import { readVersion, type WorkerEntry } from "./auth.ts";

/** A worker's poll, even if the rest of its path is none that we have, such as a worker id with a slash in it. */
const POLL_PATH = /\/job-(?:take|take-batch|stop)(?:\/|$)/;

/** Holds the refusal of a poll, and a crash of ours too: a worker then makes 12 calls a minute, not 600 a second. */
export async function holdRefusal(c: RouteContext): Promise<void> {
  if (c.res.status >= 400 && POLL_PATH.test(c.req.path)) await scheduler.wait(REFUSAL_HOLD_MS);
}

function nothing(c: RouteContext): Response {
  return new Response(null, { status: 204, headers: { "x-request-id": c.get("requestId") } });
}

/** One job, or 204 when none came while the poll was held. */
export async function takeOne(c: RouteContext, entry: WorkerEntry): Promise<Answered> {
  return take(c, entry, null);
}

/** A list of jobs, at most as many as the worker asks for. */
export async function takeBatch(c: RouteContext, entry: WorkerEntry): Promise<Answered> {
  return take(c, entry, readBatchSize(entry.query));
}

async function take(c: RouteContext, entry: WorkerEntry, batch: number | null): Promise<Answered> {
  const taking = takeJobs(c, entry, batch ?? 1);
  // A client that goes away ends this invocation, but the jobs that it was given must still go back.
  c.executionCtx.waitUntil(taking.catch(() => undefined));
  const taken = await taking;
  if (!taken.ok) return taken;
  const { jobs, handedOver } = taken.value;
  if (jobs.length === 0) return nothing(c);
  const answer = await handOver(c, entry, jobs, batch !== null);
  handedOver();
  return answer;
}

interface Taken {
  readonly jobs: readonly HandedJob[];
  /** To be called when the answer is sent: from then on nobody can say whether a client that leaves has read it. */
  readonly handedOver: () => void;
}

/** The jobs of one poll. If its client has gone by then, they are given back and none is returned. */
async function takeJobs(
  c: RouteContext,
  { worker, broker, query }: WorkerEntry,
  wanted: number,
): Promise<Result<Taken>> {
  const { signal } = c.req.raw;
  const pollId = c.get("requestId");
  const abandon = (leases: readonly HandedLease[]) => broker.call("abandonTake", { ...worker, pollId, leases });
  // This holds while inputs are read, too: nothing is written by then, so the worker has no job.
  let given: readonly HandedLease[] = [];
  const left = () => c.executionCtx.waitUntil(abandon(given));
  signal.addEventListener("abort", left);
  const handedOver = () => signal.removeEventListener("abort", left);
  const call = {
    ...worker,
    pollId,
    wanted,
    idle: query.get("job_in_progress") === "0",
    gpu: shown(query.get("gpu")),
    version: shown(readVersion(c.req.raw.headers)),
  };
  // Not repeated here: a poll whose answer was lost may have got jobs, which the next poll brings to light.
  const taken = await broker.call("takeJobs", call);
  if (!taken.ok) return taken;
  given = taken.value.map(({ jobId, lease }) => ({ jobId, lease }));
  if (!signal.aborted || given.length === 0) return ok({ jobs: taken.value, handedOver });
  await abandon(given);
  return ok({ jobs: [], handedOver });
}

/**
 * Answers with the jobs, as one object or as a list. A job whose input is gone from R2 is ended; while R2 does not
 * answer, all jobs go back and wait.
 */
async function handOver(
  c: RouteContext,
  { worker, broker }: WorkerEntry,
  jobs: readonly HandedJob[],
  isBatch: boolean,
): Promise<Answered> {
  const bodies = jobs.flatMap((job, at) => [...(at === 0 ? [] : [","]), ...jobParts(job)]);
  const spliced = await spliceBody(isBatch ? ["[", ...bodies, "]"] : bodies, c.env.PAYLOADS);
  if (spliced.kind === "ok") return rawAnswer(200, spliced.body, c.get("requestId"));
  const lostKey = spliced.kind === "missing" ? spliced.key : null;
  const isBad = ({ input }: HandedJob): boolean => input.kind === "r2" && input.key === lostKey;
  for (const job of jobs.filter(isBad)) {
    const outcome = storageFailed("the input could not be read from R2: is not there any more");
    await broker.call("finish", { jobId: job.jobId, lease: job.lease, outcome });
  }
  const leases = jobs.filter((job) => !isBad(job)).map(({ jobId, lease }) => ({ jobId, lease }));
  await broker.call("abandonTake", { ...worker, pollId: c.get("requestId"), leases });
  return fail({ kind: "unavailable", message: "the storage of large inputs (R2) did not give an input" });
}

/** Ids of jobs that the worker must stop; the call is held until there are some. */
export async function awaitStops(c: RouteContext, { worker, broker }: WorkerEntry): Promise<Answered> {
  const endMs = Date.now() + STOP_HOLD_MS;
  for (let leftMs = STOP_HOLD_MS; leftMs > 0 && !c.req.raw.signal.aborted; leftMs = endMs - Date.now()) {
    // The call is made in slices, so that a broker that was replaced is called again soon.
    const call = { ...worker, holdMs: Math.min(leftMs, WAIT_SLICE_MAX_MS), again: leftMs < STOP_HOLD_MS };
    const askedMs = Date.now();
    const stops = await broker.call("awaitStops", call);
    if (!stops.ok) return stops;
    if (stops.value === null) break;
    if (stops.value.length > 0) return jsonAnswer(200, { jobsToStop: stops.value }, c.get("requestId"));
    // The broker holds too many calls already and has answered early.
    if (Date.now() < askedMs + call.holdMs / 2) await scheduler.wait(Math.min(leftMs, REFUSAL_HOLD_MS));
  }
  return nothing(c);
}

/**
 * A heartbeat: renews the leases of the jobs that it names. 202 instead of 200: the worker has told that it leaves, and its open poll will
 * be answered soon.
 */
export async function ping(c: RouteContext, { worker, broker, query }: WorkerEntry): Promise<Answered> {
  const call = {
    ...worker,
    jobIds: query.getAll("job_id").flatMap((list) => list.split(",").filter((id) => id !== "")),
    unfit: readUnfit(query),
    leaving: query.get("leaving") === "1",
    gpu: shown(query.get("gpu")),
    version: shown(query.get("runpod_version") ?? readVersion(c.req.raw.headers)),
  };
  const pinged = await broker.call("ping", call);
  return pinged.ok ? jsonAnswer(pinged.value ? 202 : 200, { ok: true }, c.get("requestId")) : pinged;
}

/** The report of a failed fitness check, from RunPod 1.11 on: `status=unhealthy&check=…&reason=…`. */
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

/** A worker's text about itself that people are shown is cut to this length. */
const SHOWN_MAX_CHARS = 300;

function shown(text: string | null): string | null {
  return text === null || text === "" ? null : text.slice(0, SHOWN_MAX_CHARS);
}
