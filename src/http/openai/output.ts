// Turns the output of a finished job into its OpenAI client's answer. Servers and RunPod workers return many forms
// (docs/wire.md 2.2): an object, a list with one, a JSON text in a string, pieces of event text, or bytes as base64.
import type { JobView } from "../../contract/job-view.ts";
import { concatBytes } from "../../core/bytes/concat.ts";
import { ok } from "../../core/failure.ts";
import { hasResult } from "../../core/job/job.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { parseJson } from "../../core/json/value.ts";
import { errorTextOfOutput, onlyValue, openAiErrorOfOutput } from "../../core/openai/error.ts";
import { OPENAI_ANSWER_MAX_BYTES } from "../../core/openai/limits.ts";
import { isBodiless, type OpenAiRequest } from "../../core/openai/request.ts";
import { ShownEvents } from "../../core/openai/shown-events.ts";
import type { AnswerHead } from "../../dispatch/client-link.ts";
import { log } from "../../log.ts";
import { decodeBase64 } from "../../payload/base64.ts";
import { spliceBody } from "../../payload/splice.ts";
import { rawAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { StreamRead } from "../kit/read-stream.ts";
import { readWithWholeValues } from "./cut-output.ts";
import { errorAnswer, jobFailed, toError } from "./errors.ts";
import { eventOf, toChunk } from "./sse.ts";

const NO_CHUNKS = toError(503, "the endpoint does not give the chunks of the result", "unavailable");
const NOT_STORED = toError(503, "the storage of large results (R2) does not give it", "unavailable");
const UNREADABLE = toError(502, "the result of the worker takes too long to read", "bad_answer");

/** A media type that is allowed in a header. */
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\x20-\x7e]+$/;

/** The answer of a job that is over. `head`: the head of the server's own answer, if this request received it. */
export async function finishedAnswer(
  c: RouteContext,
  { request, ...read }: StreamRead & { readonly request: OpenAiRequest },
  job: JobView,
  head: AnswerHead | null = null,
): Promise<Response> {
  if (!hasResult(job.status)) return jobFailed(c, job);
  const status = head?.status ?? 200;
  if (job.output === null) {
    if (isBodiless(status))
      return rawAnswer(status, null, c.get("requestId"), { "x-job-id": job.id, ...head?.headers });
    return errorAnswer(c, toError(502, "the worker gave no answer", "bad_answer"), job.id);
  }
  if (job.output.kind === "r2" && job.output.sizeBytes > OPENAI_ANSWER_MAX_BYTES) {
    return await largeAnswer(c, request, job.id, job.output, head);
  }
  // What this request has had from a server itself was in no log.
  const whole = head === null ? await readWithWholeValues(read, job.output) : ok(null);
  if (!whole.ok) return errorAnswer(c, NO_CHUNKS, job.id);
  const text = whole.value ?? (await readOutput(c, job.output));
  if (text === null) return errorAnswer(c, NOT_STORED, job.id);
  const value = parseJson(text);
  if (value === undefined) return errorAnswer(c, UNREADABLE, job.id);
  // A job of an earlier release may be COMPLETED with an error.
  const error = errorTextOfOutput(text) === null ? null : openAiErrorOfOutput(onlyValue(value));
  if (error !== null) return errorAnswer(c, error, job.id);
  const headers = { "x-job-id": job.id, ...head?.headers };
  if (isBytes(value)) return bytesAnswer(c, value, job.id);
  if (request.stream) {
    const events = { ...headers, "content-type": "text/event-stream; charset=utf-8" };
    return rawAnswer(200, asEvents(value, request), c.get("requestId"), events);
  }
  const json = asJson(value, text);
  if (json !== null) return rawAnswer(status, json, c.get("requestId"), headers);
  return errorAnswer(c, toError(502, "the worker's answer is not one JSON object", "bad_answer"), job.id);
}

/** A large answer that a server has just given is passed on as it is. Any other would have to be read as a whole. */
async function largeAnswer(
  c: RouteContext,
  request: OpenAiRequest,
  jobId: string,
  output: PayloadRef,
  head: AnswerHead | null,
): Promise<Response> {
  if (head === null || request.stream) {
    const message = `the answer is larger than ${OPENAI_ANSWER_MAX_BYTES} bytes; the job's status has it`;
    return errorAnswer(c, toError(502, message, "answer_too_large"), jobId);
  }
  const spliced = await spliceBody([output], c.env.PAYLOADS);
  if (spliced.kind !== "ok") return errorAnswer(c, NOT_STORED, jobId);
  if (spliced.sent !== undefined) c.set("answering", spliced.sent);
  return rawAnswer(head.status, spliced.body, c.get("requestId"), { "x-job-id": jobId, ...head.headers });
}

/** The raw JSON text; null when it cannot be read. */
async function readOutput(c: RouteContext, output: PayloadRef): Promise<string | null> {
  const spliced = await spliceBody([output], c.env.PAYLOADS);
  if (spliced.kind === "ok") return await new Response(spliced.body).text();
  log("payload_not_read", { requestId: c.get("requestId"), kind: spliced.kind });
  return null;
}

/** The output as one JSON value; null for several values or plain text. Raw text is returned if it is the value. */
function asJson(value: unknown, raw: string): string | null {
  if (Array.isArray(value)) return value.length === 1 ? asJson(value[0], raw.trim().slice(1, -1)) : null;
  if (typeof value !== "string") return raw;
  return parseJson(value) === undefined ? null : value;
}

/** The output as events: of a stream, or of an answer that a worker gave in one piece though events are wanted. */
function asEvents(value: unknown, request: OpenAiRequest): Uint8Array {
  const pieces = Array.isArray(value) ? value : [value];
  const events = new ShownEvents(request);
  const text = concatBytes(pieces.map((piece) => eventOf(pieces.length === 1 ? toChunk(piece) : piece)));
  return concatBytes([...events.push(text), ...events.end(), ...events.close()]);
}

/** The form that the dialect `openai` gives to an answer that is not JSON. */
interface Bytes {
  readonly content_type: string;
  readonly body_base64: string;
}

function isBytes(value: unknown): value is Bytes {
  if (typeof value !== "object" || value === null) return false;
  if (!("body_base64" in value) || !("content_type" in value)) return false;
  return typeof value.body_base64 === "string" && typeof value.content_type === "string";
}

/** A worker may choose these names for anything: if the fields hold no base64 or no media type, that is its fault. */
function bytesAnswer(c: RouteContext, { content_type: type, body_base64: base64 }: Bytes, jobId: string): Response {
  const body = decodeBase64(base64);
  if (body === null || !MEDIA_TYPE.test(type)) {
    return errorAnswer(c, toError(502, "the worker's answer is no bytes of a type", "bad_answer"), jobId);
  }
  return rawAnswer(200, body, c.get("requestId"), { "x-job-id": jobId, "content-type": type });
}
