// The OpenAI routes of a local endpoint: a request is a job, whose client gets its answer event by event or when it is done, and whose
// job is cancelled when the client leaves.
import { concatBytes } from "../../core/bytes/concat.ts";
import { hasResult } from "../../core/job/job.ts";
import { endWithoutResult, errorInAnswer, toError } from "../../core/job/openai-error.ts";
import { fieldsOf, parseJson } from "../../core/json/value.ts";
import { OPENAI_COMMENT_EVERY_MS, OPENAI_SILENT_MAX_MS } from "../../core/openai/limits.ts";
import { isEventsType, type OpenAiRequest } from "../../core/openai/request.ts";
import { errorEvent, ShownEvents, streamsEvents } from "../../core/openai/shown-events.ts";
import { eventOf, isMediaType, readFinished } from "../../core/openai/worker-output.ts";
import { EVENTS, type LocalAnswer, type LocalCall, openAiErrorAnswer, rawAnswer, refuseOpenAi } from "./answer.ts";
import type { LocalEndpoint } from "./endpoint.ts";
import type { LocalJob } from "./job.ts";
import { readOpenAi } from "./openai-request.ts";

/** The longest a timer takes: the job's own time ends it. */
const UNTIL_OVER_MS = 2 ** 31 - 1;
const COMMENT = Buffer.from(": \n\n");

export async function openAiAnswer(call: LocalCall, endpoint: LocalEndpoint): Promise<LocalAnswer> {
  const work = await readOpenAi(call);
  if (!work.ok) return refuseOpenAi(work.failure);
  const { request } = work.value;
  const job = endpoint.submit(work.value);
  const { gone } = call;
  const leave = () => endpoint.cancel(job);
  gone.addEventListener("abort", leave, { once: true });
  if (gone.aborted) leave();
  if (request.stream) return await streamed(job, request, gone);
  await job.over(UNTIL_OVER_MS, gone);
  return finishedAnswer(job, request);
}

/** Begins with the first events, with the end of the job, or with a comment once the client has waited for long. */
async function streamed(job: LocalJob, request: OpenAiRequest, gone: AbortSignal): Promise<LocalAnswer> {
  const log = new LoggedChunks(job, request);
  const endMs = performance.now() + (streamsEvents(request) ? OPENAI_SILENT_MAX_MS : UNTIL_OVER_MS);
  for (;;) {
    const isOver = job.isOver;
    const shown = log.take();
    if (shown.length > 0)
      return rawAnswer(200, rest(job, request, log, shown, gone), { ...EVENTS, "x-job-id": job.id });
    if (isOver || gone.aborted) return finishedAnswer(job, request);
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) return rawAnswer(200, rest(job, request, log, COMMENT, gone), { ...EVENTS, "x-job-id": job.id });
    await job.changed(leftMs, gone);
  }
}

async function* rest(
  job: LocalJob,
  request: OpenAiRequest,
  log: LoggedChunks,
  first: Uint8Array,
  gone: AbortSignal,
): AsyncGenerator<Uint8Array> {
  yield first;
  let isSilent = false;
  while (!gone.aborted) {
    const isOver = job.isOver;
    const shown = log.take();
    if (shown.length > 0) yield shown;
    if (isOver) {
      yield log.hasBegun ? log.end() : eventsOfEnd(job, request);
      return;
    }
    // A comment shows proxies that the connection lives, and readers of events ignore it.
    if (isSilent && shown.length === 0) yield COMMENT;
    isSilent = !(await job.changed(OPENAI_COMMENT_EVERY_MS, gone));
  }
}

/** The events of a job's chunks, each handed out once. */
class LoggedChunks {
  readonly #job: LocalJob;
  readonly #request: OpenAiRequest;
  readonly #events: ShownEvents;
  #taken = 0;
  hasBegun = false;

  constructor(job: LocalJob, request: OpenAiRequest) {
    this.#job = job;
    this.#request = request;
    this.#events = new ShownEvents(request);
  }

  take(): Uint8Array {
    const texts = this.#job.textsFrom(this.#taken);
    this.#taken += texts.length;
    const shown = concatBytes(texts.flatMap((text) => this.#events.push(eventOf(parseJson(text)))));
    this.hasBegun ||= shown.length > 0;
    return shown;
  }

  /** The last events of a job that is over. The half event that a failed handler has left is dropped. */
  end(): Uint8Array {
    if (hasResult(this.#job.state.status)) return concatBytes([...this.#events.end(), ...this.#events.close()]);
    if (this.#events.verdict.error !== null) return new Uint8Array(0);
    return errorEvent(this.#request.path, errorInAnswer(endOf(this.#job)).error);
  }
}

/** The whole answer as events, behind a comment. */
function eventsOfEnd(job: LocalJob, request: OpenAiRequest): Uint8Array {
  const { status, headers, body } = finishedAnswer(job, request);
  if (isEventsType(headers["content-type"] ?? "") && body instanceof Uint8Array) return body;
  const told = status === 200 || typeof body !== "string" ? null : fieldsOf(fieldsOf(parseJson(body))?.error);
  return errorEvent(request.path, told ?? NO_EVENTS);
}

const NO_EVENTS = { message: "the worker's answer is no stream of events", type: "server_error", param: null };

function finishedAnswer(job: LocalJob, request: OpenAiRequest): LocalAnswer {
  const headers = { "x-job-id": job.id };
  const { status, whole } = job.state;
  if (!hasResult(status)) {
    const end = endWithoutResult(endOf(job));
    return openAiErrorAnswer(end.error, job.id, end.headers);
  }
  const refused = (message: string) => openAiErrorAnswer(toError(502, message, "bad_answer"), job.id);
  if (whole === null) return refused("the worker gave no answer");
  const finished = readFinished(whole, request);
  switch (finished.kind) {
    case "error":
      return openAiErrorAnswer(finished.error, job.id);
    case "bytes": {
      const { type, base64 } = finished;
      if (!isBase64(base64) || !isMediaType(type)) return refused("the worker's answer is no bytes of a type");
      return rawAnswer(200, Buffer.from(base64, "base64"), { ...headers, "content-type": type });
    }
    case "events":
      return rawAnswer(200, finished.bytes, { ...headers, ...EVENTS });
    case "json":
      return rawAnswer(200, finished.text, headers);
    case "unreadable":
      return refused("the result of the worker takes too long to read");
    case "several":
      return refused("the worker's answer is not one JSON object");
  }
}

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}

function endOf({ state, error }: LocalJob) {
  return { status: state.status, failure: state.failure, error };
}
