// The answer of /runsync. A job that ends at once is answered in one piece. For any other the status line is sent while
// the job runs, so that a client that is cut off while it waits knows the job's id; the body is sent when the job or
// the wait is over. White space in between keeps proxies from cutting a silent connection, and JSON readers ignore it.
import type { JobView } from "../../contract/job-view.ts";
import { statusParts } from "../../core/job/status-parts.ts";
import { SYNC_HEAD_AFTER_MS, SYNC_SPACE_EVERY_MS } from "../../core/limits.ts";
import { log } from "../../log.ts";
import { spliceBody } from "../../payload/splice.ts";
import { rawAnswer } from "../kit/answer.ts";
import { carryHere } from "../kit/carry-here.ts";
import { keepAnswering, type RouteContext } from "../kit/context.ts";
import type { EndpointCall } from "../kit/enter.ts";
import type { SubmittedJob } from "../kit/submit-job.ts";
import { waitForJob } from "./wait.ts";

interface SyncCall extends EndpointCall, SubmittedJob {
  readonly waitMs: number;
}

const SPACE = new TextEncoder().encode(" ");

/** Answers 200 with `x-job-id` and `location`. The job does not depend on this connection. */
export async function syncAnswer(c: RouteContext, call: SyncCall): Promise<Response> {
  const { id } = call.job;
  const headers = { "x-job-id": id, location: `/v2/${call.broker.endpointId}/status/${id}` };
  const wait = new SpacedWait(call.waitMs);
  const body = bodyAtEnd(c, call, wait);
  const whole = await Promise.race([body, wait.headIsDue]);
  if (whole !== null) return rawAnswer(200, whole, c.get("requestId"), headers);
  // Goes on though the client has gone: a job that this request carries has 30 s more to end, else it is run again.
  const goOn = (work: Promise<unknown>, rest: ReadableStream | null): Response => {
    keepAnswering(c, work);
    return rawAnswer(200, rest, c.get("requestId"), headers);
  };
  // Where nobody reads the answer any more, a write to it would never end, and with it the request.
  if (c.req.raw.signal.aborted) return goOn(body, null);
  const { readable, writable } = new IdentityTransformStream();
  return goOn(pour(c, body, wait.writeSpacesTo(writable)), readable);
}

type AnswerBody = Uint8Array | ReadableStream<Uint8Array>;

async function bodyAtEnd(c: RouteContext, call: SyncCall, wait: SpacedWait): Promise<AnswerBody> {
  try {
    const job = await jobAtEnd(c, call, wait.over);
    return await bodyOf(c, call.job.id, job);
  } finally {
    wait.stop();
  }
}

async function pour(
  c: RouteContext,
  coming: Promise<AnswerBody>,
  writer: WritableStreamDefaultWriter<Uint8Array>,
): Promise<void> {
  try {
    const body = await coming;
    if (body instanceof Uint8Array) await Promise.all([writer.write(body), writer.close()]);
    else {
      for await (const piece of body) await writer.write(piece);
      await writer.close();
    }
  } catch (error) {
    // Most often the client has broken the connection; it can find the job by its id.
    log("sync_answer_broken", { requestId: c.get("requestId"), error: String(error) });
    await writer.abort(error).catch(() => undefined);
  }
}

/**
 * The client's wait: when its status line is due, the white space that is written now and then, and its end. One timer
 * serves all three. It is stopped by `clearTimeout`, because firing an abort signal takes 0.1 ms, and the answer's body is
 * written after that.
 */
class SpacedWait {
  readonly #head = Promise.withResolvers<null>();
  readonly #over = Promise.withResolvers<null>();
  readonly #endMs: number;
  #writer: WritableStreamDefaultWriter<Uint8Array> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(waitMs: number) {
    this.#endMs = Date.now() + waitMs;
    this.#goOn(SYNC_HEAD_AFTER_MS);
  }

  /** Resolves when the status line is due, unless the wait is over or was stopped before. */
  get headIsDue(): Promise<null> {
    return this.#head.promise;
  }

  /** Resolves when the wait is over, unless it was stopped before. */
  get over(): Promise<null> {
    return this.#over.promise;
  }

  writeSpacesTo(writable: WritableStream<Uint8Array>): WritableStreamDefaultWriter<Uint8Array> {
    this.#writer = writable.getWriter();
    return this.#writer;
  }

  stop(): void {
    clearTimeout(this.#timer ?? null);
  }

  #goOn(afterMs: number): void {
    const leftMs = this.#endMs - Date.now();
    if (leftMs <= 0) this.#over.resolve(null);
    else this.#timer = setTimeout(() => this.#look(), Math.min(leftMs, afterMs));
  }

  #look(): void {
    if (Date.now() < this.#endMs) {
      this.#head.resolve(null);
      this.#writer?.write(SPACE).catch(() => undefined);
    }
    this.#goOn(SYNC_SPACE_EVERY_MS);
  }
}

/** The job once it or the wait is over; null: the job cannot be found any more. */
async function jobAtEnd(c: RouteContext, call: SyncCall, over: Promise<null>): Promise<JobView | null> {
  const { broker, caller, claim, waitMs } = call;
  const endMs = Date.now() + waitMs;
  const carried = claim === null ? null : carryHere(c, claim, call.wanted.input).then(({ job }) => job);
  if (carried !== null) {
    const job = await Promise.race([carried, over]);
    if (job !== null) return job;
    c.executionCtx.waitUntil(carried);
  }
  const known = carried === null ? call.job : null;
  const asked = { tenantId: caller.tenantId, jobId: call.job.id, waitMs: Math.max(0, endMs - Date.now()) };
  const waited = await waitForJob(broker, { ...asked, known }, c.req.raw.signal);
  if (waited.ok) return waited.value;
  return waited.failure.kind === "unavailable" ? call.job : null;
}

async function bodyOf(c: RouteContext, id: string, job: JobView | null): Promise<AnswerBody> {
  const encoder = new TextEncoder();
  if (job === null) return encoder.encode(JSON.stringify({ error: "not found", id, message: "the job is gone" }));
  const spliced = await spliceBody(statusParts(job), c.env.PAYLOADS);
  if (spliced.kind === "ok") {
    if (spliced.sent !== undefined) c.set("answering", spliced.sent);
    return spliced.body;
  }
  log("payload_not_read", { requestId: c.get("requestId"), kind: spliced.kind });
  const message = "the storage of large results (R2) does not answer; the job's status has the result later";
  return encoder.encode(JSON.stringify({ error: "unavailable", id, message, status: job.status }));
}
