// The dialect `runpod`: any base URL with RunPod's API. A hosted one takes `/run`, is polled by `/status`, stopped by
// `/cancel`; a local one (`handler.py --rp_serve_api`) takes `/runsync`. IN_QUEUE and IN_PROGRESS are never a result.
import type { Outcome } from "../contract/dispatch.ts";
import type { Reach } from "../core/access/reach.ts";
import { failed } from "../core/job/failure.ts";
import { parseJson } from "../core/json/value.ts";
import {
  CARRIER_HOLDS_MS,
  ENVELOPE_FIELDS_MAX_BYTES,
  HELD_CALL_MAX_MS,
  UPSTREAM_LOST_AFTER_MS,
  UPSTREAM_POLL_CALLED_BACK_MS,
  UPSTREAM_POLL_MAX_MS,
  UPSTREAM_POLL_RELAXED_AFTER_MS,
} from "../core/limits.ts";
import { type Envelope, type ReadFailure, readEnvelope } from "../payload/envelope.ts";
import { deletePayload } from "../payload/store.ts";
import { type Attempt, askStatus } from "./attempt.ts";
import {
  type Answer,
  attemptFailed,
  classifyBroken,
  classifyRead,
  classifyStatus,
  errorText,
  type Suspicion,
} from "./classify.ts";
import { isKnownLocal, isLocalServer } from "./local-server.ts";
import { repeatCall } from "./repeat-call.ts";
import { unhealthy } from "./suspicion.ts";

const SUBMIT_TIMEOUT_MS = 60_000;
const POLL_TIMEOUT_MS = 120_000;
const POLL_FIRST_MS = 250;
const POLL_GROWTH = 1.5;
/** The pause after a failed poll; it doubles with each further one up to the maximum. */
const POLL_FAILED_FIRST_MS = 1_000;
const POLL_FAILED_MAX_MS = 15_000;
/** The attempt is given up after this many unreadable answers in a row; a single one may be a proxy's page. */
const UNUSABLE_MAX = 3;
/** The upstream is given up after this many refused polls in a row: a gateway may have been set anew meanwhile. */
const REFUSED_MAX = 3;
const NOTE_FOR_MS = 30_000;
const CANCEL_TIMEOUT_MS = 10_000;

/** Runs one attempt, or continues the upstream's job of an earlier lease; null when the lease was lost meanwhile. */
export async function runRunpod(attempt: Attempt): Promise<Outcome | Suspicion | null> {
  if (attempt.assignment.upstream.local) return await runLocal(attempt);
  if (isKnownLocal(attempt)) return await runFoundLocal(attempt);
  const known = attempt.assignment.upstreamJobId;
  if (known !== null) return await followJob(attempt, known);
  const submitted = await submit(attempt);
  if (submitted === null || typeof submitted !== "string") return submitted;
  const noted = await noteJob(attempt, submitted);
  const outcome = noted === "lost" ? null : await followJob(attempt, submitted);
  // The broker does not have this id, so nobody else can stop the job.
  if (noted !== "noted" && (noted === "lost" || attempt.signal.aborted)) await cancelJob(attempt, submitted);
  return outcome;
}

/** Requests an upstream to stop a job. Best effort: if it does not answer, its own timeout stops the job. */
export async function cancelUpstreamJob(
  call: { readonly url: string; readonly credential: string | null; readonly upstreamJobId: string },
  reach: Reach,
): Promise<boolean> {
  const url = `${call.url.replace(/\/+$/, "")}/cancel/${encodeURIComponent(call.upstreamJobId)}`;
  const request = { url, method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
  const status = await askStatus(request, { credential: call.credential, timeoutMs: CANCEL_TIMEOUT_MS }, reach);
  return typeof status === "number" && status < 300;
}

/** Follows the upstream's job to its end. If the upstream only keeps what `/run` brings, `/runsync` runs it instead. */
async function followJob(attempt: Attempt, id: string): Promise<Outcome | Suspicion | null> {
  const ended = await poll(attempt, id);
  return ended === "local" ? await runFoundLocal(attempt) : ended;
}

/** Runs the job of a `handler.py --rp_serve_api` that was added as a hosted endpoint: it runs from this call on. */
async function runFoundLocal(attempt: Attempt): Promise<Outcome | Suspicion | null> {
  if (attempt.leftMs() > HELD_CALL_MAX_MS) return { kind: "upstream_unhealthy", detail: LOCAL_DETAIL };
  // The job must not run before the broker has noted that, nor be lost for one call that the broker does not answer.
  const { clock } = attempt.deps;
  const options = { clock, forMs: NOTE_FOR_MS, signal: attempt.signal };
  if (!(await repeatCall(() => tellRunning(attempt), options).catch(() => false))) return null;
  return await runLocal(attempt);
}

const LOCAL_DETAIL =
  "The upstream is a handler with --rp_serve_api, which answers within one HTTP call: add it with --local-server.";

function runLocal(attempt: Attempt): Promise<Outcome | Suspicion | null> {
  return attempt.postJob(`${attempt.url}/runsync`, async (answer) => {
    const read = await readAnswer(attempt, answer);
    if (read.kind !== "ok") return classifyRead(read, answer, attempt.isOver());
    const outcome = finalOutcome(read);
    if (outcome !== null && outcome !== "not_final") return outcome;
    await dropOutput(attempt, read);
    return attemptFailed("bad_answer", "the upstream's answer to /runsync has no final status");
  });
}

/** Returns the upstream's id of the job, or how the attempt ended. */
function submit(attempt: Attempt): Promise<string | Outcome | Suspicion | null> {
  const takeId = async (answer: Answer): Promise<string | Outcome | null> => {
    const read = await readAnswer(attempt, answer);
    if (read.kind !== "ok") return classifyRead(read, answer, attempt.isOver());
    await dropOutput(attempt, read);
    const id = parseJson(read.fields.id ?? "null");
    if (typeof id === "string" && id !== "") return id;
    return attemptFailed("bad_answer", "the upstream's answer to /run has no id");
  };
  return attempt.postJob(`${attempt.url}/run`, takeId, { totalMs: SUBMIT_TIMEOUT_MS });
}

async function noteJob(attempt: Attempt, upstreamJobId: string): Promise<"noted" | "lost" | "unknown"> {
  const { clock, leaseApi } = attempt.deps;
  const { jobId, lease } = attempt.assignment;
  try {
    const call = () => leaseApi().noteUpstreamJob({ jobId, lease, upstreamJobId });
    return (await repeatCall(call, { clock, forMs: NOTE_FOR_MS })) ? "noted" : "lost";
  } catch {
    // The broker does not answer. The job runs on, because a result is still worth more than another start.
    return "unknown";
  }
}

/** Reports that the job runs, from which on it is billed. False: the broker has not accepted the report. */
function tellRunning({ deps, assignment: { jobId, lease } }: Attempt): Promise<boolean> {
  return deps.leaseApi().noteRunning({ jobId, lease });
}

/** Not sent through `attempt.call`, because the execution timeout may have passed, or the lease may be lost. */
async function cancelJob(attempt: Attempt, upstreamJobId: string): Promise<void> {
  const { url, credential, deps } = attempt;
  await cancelUpstreamJob({ url, credential, upstreamJobId }, deps.reach);
}

type Polled =
  | { readonly kind: "waiting"; readonly runs: boolean }
  /** `why`: the meaning of the failure if no later poll succeeds. */
  | { readonly kind: "failed" | "unusable"; readonly why: Outcome }
  /** The poll itself was refused, by a status that waiting does not change. No tenant has a part in it. */
  | { readonly kind: "refused"; readonly status: number; readonly why: Outcome };

/** A poll without a result; the next one may succeed. */
const NOT_SEEN: Polled = {
  kind: "failed",
  why: attemptFailed("upstream_lost", "the upstream was lost: it did not tell of the job any more"),
};

async function poll(attempt: Attempt, id: string): Promise<Outcome | "local" | null> {
  const { clock } = attempt.deps;
  const startedMs = clock.now();
  let answeredMs = startedMs;
  let pauseMs = POLL_FIRST_MS;
  let failedPauseMs = POLL_FAILED_FIRST_MS;
  let unusable = 0;
  let refused = 0;
  let isReported = false;
  /**
   * The start of the newest poll that found the job waiting; for a job that is taken up, a poll of the carrier before,
   * one pause ago. If that carrier saw the job run, the broker has the time, and a new lease bills nothing before it.
   */
  let waitedMs = attempt.assignment.upstreamJobId === null ? null : startedMs - pollMaxMs(attempt, CARRIER_HOLDS_MS);
  for (;;) {
    const wantedMs = failedPauseMs > POLL_FAILED_FIRST_MS ? failedPauseMs : pauseMs;
    await attempt.nudge.sleep(clock, Math.min(wantedMs, Math.max(0, attempt.leftMs())), attempt.signal);
    if (attempt.signal.aborted) return null;
    if (attempt.isOver()) {
      await cancelJob(attempt, id);
      return { kind: "timed_out" };
    }
    if (clock.now() - startedMs >= CARRIER_HOLDS_MS && (await handOver(attempt, id))) return null;
    const askedMs = clock.now();
    const polled = await pollOnce(attempt, id);
    if (polled === null) return null;
    refused = polled.kind === "refused" ? refused + 1 : 0;
    if (polled.kind === "refused" && (await isLocalServer(attempt, polled.status))) return "local";
    const isGivenUp =
      refused >= REFUSED_MAX ||
      (polled.kind === "unusable" && ++unusable >= UNUSABLE_MAX) ||
      (polled.kind === "failed" && clock.now() - answeredMs >= UPSTREAM_LOST_AFTER_MS);
    if (isGivenUp && "why" in polled) {
      // At an upstream that only refuses us the run stays, for the lease that comes after its settings are mended.
      if (polled.why.kind !== "upstream_unhealthy") await cancelJob(attempt, id);
      return polled.why;
    }
    if (polled.kind !== "failed" && polled.kind !== "refused") answeredMs = clock.now();
    if (polled.kind === "waiting") {
      if (!polled.runs) waitedMs = askedMs;
      else if (!isReported) isReported = await tellRunning(attempt).catch(() => false);
      pauseMs = Math.min(pauseMs * POLL_GROWTH, pollMaxMs(attempt, clock.now() - startedMs));
      failedPauseMs = POLL_FAILED_FIRST_MS;
      unusable = 0;
    } else if ("why" in polled) {
      failedPauseMs = Math.min(failedPauseMs * 2, POLL_FAILED_MAX_MS);
    } else {
      // Our own storage failed, so nobody will read what the upstream still makes.
      if (polled.kind === "storage_failed") await cancelJob(attempt, id);
      return isReported || waitedMs === null ? polled : ranSince(polled, clock.now() - waitedMs);
    }
  }
}

/** A short run may begin and end between two polls: its billed time then begins with the first of them. */
function ranSince(ended: Outcome, ranMaxMs: number): Outcome {
  return ended.kind === "completed" || ended.kind === "handler_error"
    ? { ...ended, ranMaxMs: Math.ceil(ranMaxMs) }
    : ended;
}

/** The longest pause between two polls of a job that has run for `ranMs`. */
function pollMaxMs(attempt: Attempt, ranMs: number): number {
  const isRelaxed = attempt.deps.publicUrl !== null && ranMs >= UPSTREAM_POLL_RELAXED_AFTER_MS;
  return isRelaxed ? UPSTREAM_POLL_CALLED_BACK_MS : UPSTREAM_POLL_MAX_MS;
}

/** Lets the broker start another carrier under this lease. False: no answer came, so this one goes on while it can. */
function handOver({ deps, assignment: { jobId, lease } }: Attempt, upstreamJobId: string): Promise<boolean> {
  const handed = deps.leaseApi().handOver({ jobId, lease, upstreamJobId });
  return handed.catch(() => false);
}

/** Polls the upstream's job once: an outcome, `waiting`, or a failure of the poll itself, which counts for nothing. */
async function pollOnce(attempt: Attempt, id: string): Promise<Outcome | Polled | null> {
  const url = `${attempt.url}/status/${encodeURIComponent(id)}`;
  const result = await attempt.call({ url, method: "GET", totalMs: POLL_TIMEOUT_MS });
  if (result.kind === "aborted") return null;
  if (result.kind !== "response") {
    if (result.kind === "redirect") return refusedPoll(result.status);
    const why = classifyBroken(result, false);
    return why.kind === "upstream_unhealthy" ? { kind: "failed", why } : NOT_SEEN;
  }
  try {
    if (result.status === 404 || result.status === 410)
      return attemptFailed("upstream_lost", "the upstream lost the job");
    if (result.status >= 300) {
      const why = await classifyStatus(result, attempt.deps.clock.now());
      return why?.kind === "suspected" ? refusedPoll(why.status) : NOT_SEEN;
    }
    const read = await readAnswer(attempt, result);
    if (read.kind !== "ok") {
      const why = classifyRead(read, result, attempt.isOver());
      if (read.kind === "read_failed" && why !== null) return NOT_SEEN;
      return why?.kind === "attempt_failed" ? { kind: "unusable", why } : why;
    }
    const outcome = finalOutcome(read);
    if (outcome !== null && outcome !== "not_final") return outcome;
    await dropOutput(attempt, read);
    if (outcome === "not_final")
      return { kind: "waiting", runs: parseJson(read.fields.status ?? "null") !== "IN_QUEUE" };
    const why = attemptFailed("bad_answer", "the upstream's answer to /status has no known status");
    return { kind: "unusable", why };
  } finally {
    result.close();
  }
}

function refusedPoll(status: number): Polled {
  return { kind: "refused", status, why: unhealthy(status) };
}

function readAnswer(attempt: Attempt, answer: Answer): Promise<Envelope | ReadFailure> {
  return readEnvelope(answer.body, {
    ...attempt.resultOptions(),
    bigField: "output",
    cutField: "error",
    fieldsMaxBytes: ENVELOPE_FIELDS_MAX_BYTES,
  });
}

const LOST_WORKER = /^job timed out after \d+ retries$/;

/** What RunPod's status means; `not_final` while the job waits or runs, null for an unknown status. */
function finalOutcome(read: Envelope): Outcome | "not_final" | null {
  const error = errorText(read.fields.error);
  switch (parseJson(read.fields.status ?? "null")) {
    case "COMPLETED":
      return { kind: "completed", output: read.big };
    case "FAILED":
      // RunPod reports a worker that it has lost in this form: it is no error of the handler and not billed.
      if (LOST_WORKER.test(error)) return attemptFailed("upstream_lost", error);
      return { kind: "handler_error", failure: failed("handler_error", error), output: read.big };
    case "CANCELLED":
      return attemptFailed("upstream_lost", "the upstream cancelled the job");
    case "TIMED_OUT":
      return attemptFailed("upstream_lost", "the job timed out at the upstream");
    case "IN_QUEUE":
    case "IN_PROGRESS":
      return "not_final";
    default:
      return null;
  }
}

/** Progress of a running job is not kept, so the R2 object that a large one was written to is deleted. */
async function dropOutput(attempt: Attempt, read: Envelope): Promise<void> {
  if (read.big !== null) await deletePayload(read.big, attempt.deps.bucket).catch(() => undefined);
}
