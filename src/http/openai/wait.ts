// The wait of an OpenAI client whose job another carrier has: a pulling worker, or the Carrier because no slot was
// free. It reads the job's log as the chunks come, or waits for the end; if the client leaves, the job is cancelled.
import type { JobView } from "../../contract/job-view.ts";
import type { StreamPage } from "../../contract/stream.ts";
import type { Failure, Result } from "../../core/failure.ts";
import { hasResult, isRunning, isTerminal, isTimedOut, isWaiting } from "../../core/job/job.ts";
import { JOB_GONE, type OpenAiError, TTL_PASSED, toError } from "../../core/job/openai-error.ts";
import { STREAM_START } from "../../core/job/stream-cursor.ts";
import { LIMIT_RETRY_AFTER_SECONDS } from "../../core/limits.ts";
import { OPENAI_QUEUE_MAX_MS, OPENAI_WAIT_SLICE_MS } from "../../core/openai/limits.ts";
import type { OpenAiRequest } from "../../core/openai/request.ts";
import type { RouteContext } from "../kit/context.ts";
import { askHeld } from "../kit/held.ts";
import { readPage, type StreamRead } from "../kit/read-stream.ts";
import type { ClientAnswer } from "./answer.ts";
import { errorAnswer, errorInBegun, refuseOpenAi } from "./errors.ts";
import { LoggedEvents } from "./log.ts";
import { finishedAnswer } from "./output.ts";

export interface OpenAiWait extends StreamRead {
  readonly request: OpenAiRequest;
}

/** The pause between two calls to a broker that does not answer. */
const PAUSE_MS = 500;

/** Waits for the job. Null when the answer has begun in `client`; it is then over when this resolves. */
export async function waitForAnswer(c: RouteContext, wait: OpenAiWait, client: ClientAnswer): Promise<Response | null> {
  const events = wait.request.stream ? new LoggedEvents(wait.request, client) : null;
  const queuedUntilMs = Date.now() + OPENAI_QUEUE_MAX_MS;
  let after = STREAM_START;
  // The first call does not wait, so that an error that no waiting can mend is answered at once.
  for (let holdMs = 0; ; holdMs = OPENAI_WAIT_SLICE_MS) {
    const page = events === null ? null : await whileHere(client, readPage(wait, after, holdMs));
    if (client.gone.aborted) return await leave(wait, client);
    const seen = page?.ok === true ? page.value : null;
    if (seen !== null) {
      after = seen.chunks.at(-1) ?? after;
      // A job whose ttl has passed cannot be found by any later call.
      const taken = await events?.take(seen);
      const passed = client.hasBegun ? JOB_GONE : TTL_PASSED;
      const error = isTimedOut(seen.status) ? passed : taken;
      if (error) return await breakOff(c, wait, error, client);
      if (seen.more || (client.hasBegun && !isTerminal(seen.status))) continue;
      // A job that begins to run may log its first chunk at any moment, so the next call must read the log and not hold
      // this reader up with a call about the state.
      if (isRunning(seen.status)) continue;
    }
    const state = await whileHere(client, lookAt(wait, events === null ? holdMs : 0));
    if (state === null || client.gone.aborted) return await leave(wait, client);
    const ended = await judge(c, wait, state, { client, events, page: seen });
    if (ended !== "waits") return ended;
    if (page?.ok === false) await scheduler.wait(PAUSE_MS);
    if (Date.now() >= queuedUntilMs && !client.hasBegun && state.ok && isWaiting(state.value.status)) {
      const reason = state.value.queue?.detail ?? "";
      const error = toError(503, `no worker took the request in time. ${reason}`.trim(), "no_worker");
      return await giveUp(c, wait, error);
    }
  }
}

/** `waits`: there is nothing to send yet. */
async function judge(
  c: RouteContext,
  wait: OpenAiWait,
  state: Result<JobView>,
  {
    client,
    events,
    page,
  }: { readonly client: ClientAnswer; readonly events: LoggedEvents | null; readonly page: StreamPage | null },
): Promise<Response | null | "waits"> {
  if (!state.ok) {
    if (state.failure.kind === "unavailable") {
      await scheduler.wait(PAUSE_MS);
      return "waits";
    }
    const answer = refuseOpenAi(c, asGone(state.failure));
    if (!client.hasBegun) return answer;
    await client.fail(errorInBegun(state));
    return null;
  }
  const job = state.value;
  if (isTerminal(job.status)) {
    // The log may still have chunks that came between the page and this call about the state.
    const isBehind = page === null ? client.hasBegun : !isTerminal(page.status);
    if (events !== null && isBehind) return "waits";
    if (!client.hasBegun) return await finishedAnswer(c, wait, job);
    await events?.finish(job);
    return null;
  }
  if (!isWaiting(job.status) || job.queue === null || client.hasBegun) return "waits";
  const { reason, detail } = job.queue;
  // No waiting by the client mends a wrong address or credential, or brings a worker to an endpoint that has none.
  if (reason === "UPSTREAM_UNHEALTHY") return await giveUp(c, wait, toError(502, detail, "upstream_unhealthy"));
  if (reason !== "NO_WORKERS") return "waits";
  const health = await wait.broker.call("health", { tenantId: wait.tenantId });
  if (!health.ok || health.value.mayServe !== false) return "waits";
  const message = `${detail} Add an upstream, or start a worker with a key of this endpoint.`;
  return await giveUp(c, wait, toError(503, message, "no_worker"));
}

function asGone(failure: Failure): Failure {
  return failure.kind === "not_found"
    ? { kind: "unavailable", message: "the job is gone before it was done" }
    : failure;
}

/** The state of the job, once it has changed or `holdMs` has passed. */
export function lookAt({ broker, tenantId, jobId }: OpenAiWait, holdMs: number): Promise<Result<JobView>> {
  return askHeld(holdMs, (heldMs) => broker.call("wait", { tenantId, jobId, holdMs: heldMs }));
}

function cancel({ broker, tenantId, jobId }: OpenAiWait): Promise<Result<JobView>> {
  return broker.call("cancel", { tenantId, jobId });
}

/** Cancels the job because its client has gone, which ends the generation and the bill. */
async function leave(wait: OpenAiWait, client: ClientAnswer): Promise<Response | null> {
  await cancel(wait);
  await client.end(false);
  // Nobody reads this answer; 499 is the status that servers log for a client that has gone.
  return new Response(null, { status: 499 });
}

async function giveUp(c: RouteContext, wait: OpenAiWait, error: ReturnType<typeof toError>): Promise<Response> {
  const cancelled = await cancel(wait);
  // The job may have ended at this very moment.
  if (cancelled.ok && hasResult(cancelled.value.status)) {
    const job = await lookAt(wait, 0);
    if (job.ok) return await finishedAnswer(c, wait, job.value);
  }
  return errorAnswer(c, error, wait.jobId, { "retry-after": String(LIMIT_RETRY_AFTER_SECONDS) });
}

/** Ends the answer with an error when nothing that may still come is of use to the client. */
async function breakOff(
  c: RouteContext,
  wait: OpenAiWait,
  error: OpenAiError,
  client: ClientAnswer,
): Promise<Response | null> {
  await cancel(wait);
  if (!client.hasBegun) return errorAnswer(c, error, wait.jobId);
  await client.fail(error);
  return null;
}

/** The result of a call; null when the client has gone first, because nobody waits for the result then. */
function whileHere<T>({ gone }: ClientAnswer, answer: Promise<T>): Promise<T | null> {
  if (gone.aborted) return Promise.resolve(null);
  return new Promise((resolve, reject) => {
    const leave = (): void => resolve(null);
    gone.addEventListener("abort", leave, { once: true });
    answer.then(resolve, reject).finally(() => gone.removeEventListener("abort", leave));
  });
}
