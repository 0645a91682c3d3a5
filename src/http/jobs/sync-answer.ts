// The answer of /runsync. Its status line is sent as soon as the job is stored, so that a client that is cut off while
// it waits knows the job's id; the body is sent when the job or the wait is over. White space in between keeps proxies
// from cutting a silent connection, and JSON readers ignore it.
import type { JobView } from "../../contract/job-view.ts";
import { SYNC_SPACE_EVERY_MS } from "../../core/limits.ts";
import { log } from "../../log.ts";
import { spliceBody } from "../../payload/splice.ts";
import { rawAnswer } from "../kit/answer.ts";
import { carryHere } from "../kit/carry-here.ts";
import { keepAnswering, type RouteContext } from "../kit/context.ts";
import type { EndpointCall } from "../kit/enter.ts";
import type { SubmittedJob } from "../kit/submit-job.ts";
import { statusParts } from "./status-body.ts";
import { waitForJob } from "./wait.ts";

interface SyncCall extends EndpointCall, SubmittedJob {
  readonly waitMs: number;
}

const SPACE = new TextEncoder().encode(" ");

/** Answers 200 at once, with `x-job-id` and `location`. The job does not depend on this connection. */
export function syncAnswer(c: RouteContext, call: SyncCall): Response {
  const { readable, writable } = new IdentityTransformStream();
  // Goes on though the client has gone: a job that this request carries has 30 s more to end, else it is run again.
  keepAnswering(c, answer(c, call, writable));
  const { id } = call.job;
  const headers = { "x-job-id": id, location: `/v2/${call.broker.endpointId}/status/${id}` };
  return rawAnswer(200, readable, c.get("requestId"), headers);
}

async function answer(c: RouteContext, call: SyncCall, writable: WritableStream<Uint8Array>): Promise<void> {
  const writer = writable.getWriter();
  const wait = new SpacedWait(writer, call.waitMs);
  try {
    const job = await jobAtEnd(c, call, wait.over);
    wait.stop();
    const body = await bodyOf(c, call.job.id, job);
    if (body instanceof Uint8Array) await Promise.all([writer.write(body), writer.close()]);
    else {
      for await (const piece of body) await writer.write(piece);
      await writer.close();
    }
  } catch (error) {
    // Most often the client has broken the connection; it can find the job by its id.
    log("sync_answer_broken", { requestId: c.get("requestId"), error: String(error) });
    await writer.abort(error).catch(() => undefined);
  } finally {
    wait.stop();
  }
}

/**
 * The client's wait, and white space that is written now and then until it is over: one timer for both. It is stopped by
 * `clearTimeout`, because firing an abort signal takes 0.1 ms, and the answer's body is written after that.
 */
class SpacedWait {
  readonly #over = Promise.withResolvers<null>();
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #endMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(writer: WritableStreamDefaultWriter<Uint8Array>, waitMs: number) {
    this.#writer = writer;
    this.#endMs = Date.now() + waitMs;
    this.#goOn();
  }

  /** Resolves when the wait is over, unless it was stopped before. */
  get over(): Promise<null> {
    return this.#over.promise;
  }

  stop(): void {
    clearTimeout(this.#timer ?? null);
  }

  #goOn(): void {
    const leftMs = this.#endMs - Date.now();
    if (leftMs <= 0) this.#over.resolve(null);
    else this.#timer = setTimeout(() => this.#writeSpace(), Math.min(leftMs, SYNC_SPACE_EVERY_MS));
  }

  #writeSpace(): void {
    if (Date.now() < this.#endMs) this.#writer.write(SPACE).catch(() => undefined);
    this.#goOn();
  }
}

/** The job once it or the wait is over; null: the job cannot be found any more. */
async function jobAtEnd(c: RouteContext, call: SyncCall, over: Promise<null>): Promise<JobView | null> {
  const { broker, caller, claim, waitMs } = call;
  const endMs = Date.now() + waitMs;
  const carried = claim === null ? null : carryHere(c, claim, call.wanted.input).then(({ job }) => job);
  if (carried !== null) {
    c.executionCtx.waitUntil(carried);
    const job = await Promise.race([carried, over]);
    if (job !== null) return job;
  }
  const known = carried === null ? call.job : null;
  const asked = { tenantId: caller.tenantId, jobId: call.job.id, waitMs: Math.max(0, endMs - Date.now()) };
  const waited = await waitForJob(broker, { ...asked, known }, c.req.raw.signal);
  if (waited.ok) return waited.value;
  return waited.failure.kind === "unavailable" ? call.job : null;
}

async function bodyOf(
  c: RouteContext,
  id: string,
  job: JobView | null,
): Promise<Uint8Array | ReadableStream<Uint8Array>> {
  const encoder = new TextEncoder();
  if (job === null) return encoder.encode(JSON.stringify({ error: "not found", id, message: "the job is gone" }));
  const spliced = await spliceBody(statusParts(job), c.env.PAYLOADS);
  if (spliced.kind === "ok") return spliced.body;
  log("payload_not_read", { requestId: c.get("requestId"), kind: spliced.kind });
  const message = "the storage of large results (R2) does not answer; the job's status has the result later";
  return encoder.encode(JSON.stringify({ error: "unavailable", id, message, status: job.status }));
}
