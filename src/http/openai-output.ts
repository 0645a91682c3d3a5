// The output of a finished job as its OpenAI client wants it: what servers and RunPod workers give back has many forms
// (runpod-wire 2.4): an object, a list with one, a JSON text in a string, pieces of event text, or bytes as base64.
import type { JobView } from "../contract/job-view.ts";
import { decodeBase64 } from "../core/base64.ts";
import { OPENAI_ANSWER_MAX_BYTES } from "../core/limits.ts";
import { openAiErrorOfOutput } from "../core/openai-error.ts";
import { isBodiless, type OpenAiRequest } from "../core/openai-request.ts";
import type { PayloadRef } from "../core/payload-ref.ts";
import type { AnswerHead } from "../dispatch/client-link.ts";
import { log } from "../log.ts";
import { spliceBody } from "../payload/splice.ts";
import { rawAnswer } from "./answer.ts";
import { errorAnswer, jobFailed, toError } from "./openai-errors.ts";
import { DONE_EVENT, endsByDone, eventOf, toChunk } from "./openai-sse.ts";
import type { RouteContext } from "./routing.ts";

/** The answer of a job that is over. `head`: of the server's own answer, where this request has it. */
export async function finishedAnswer(
  c: RouteContext,
  request: OpenAiRequest,
  job: JobView,
  head: AnswerHead | null = null,
): Promise<Response> {
  if (job.status !== "COMPLETED") return jobFailed(c, job);
  const status = head?.status ?? 200;
  if (job.output === null) {
    if (isBodiless(status))
      return rawAnswer(status, null, c.get("requestId"), { "x-job-id": job.id, ...head?.headers });
    return errorAnswer(c, toError(502, "the worker gave no answer", "bad_answer"), job.id);
  }
  const text = await readOutput(c, job.output);
  if (text === null) {
    return errorAnswer(c, toError(503, "the storage of large results (R2) does not give it", "unavailable"), job.id);
  }
  const value: unknown = JSON.parse(text);
  const error = openAiErrorOfOutput(value);
  if (error !== null) return errorAnswer(c, error, job.id);
  const headers = { "x-job-id": job.id, ...head?.headers };
  const bytes = toBytes(value);
  if (bytes !== null) return rawAnswer(200, bytes.body, c.get("requestId"), { ...headers, "content-type": bytes.type });
  if (request.stream) {
    const events = { ...headers, "content-type": "text/event-stream; charset=utf-8" };
    return rawAnswer(200, asEvents(value, request), c.get("requestId"), events);
  }
  const json = asJson(value, text);
  if (json !== null) return rawAnswer(status, json, c.get("requestId"), headers);
  return errorAnswer(c, toError(502, "the worker's answer is not one JSON object", "bad_answer"), job.id);
}

/** The raw JSON text; null when it cannot be had. */
async function readOutput(c: RouteContext, output: PayloadRef): Promise<string | null> {
  if (output.kind === "r2" && output.sizeBytes > OPENAI_ANSWER_MAX_BYTES) return null;
  const spliced = await spliceBody([output], c.env.PAYLOADS);
  if (spliced.kind === "ok") return await new Response(spliced.body).text();
  log("payload_not_read", { requestId: c.get("requestId"), kind: spliced.kind });
  return null;
}

/** One JSON value; null when it is none: several of them, or plain text. The raw text is kept where it is the value itself. */
function asJson(value: unknown, raw: string): string | null {
  if (Array.isArray(value)) return value.length === 1 ? asJson(value[0], JSON.stringify(value[0])) : null;
  if (typeof value !== "string") return raw;
  try {
    JSON.parse(value);
    return value;
  } catch {
    return null;
  }
}

/** A stream's worth of output, or an answer that a worker gave in one piece to a client that wants events. */
function asEvents(value: unknown, request: OpenAiRequest): string {
  const pieces = Array.isArray(value) ? value : [value];
  const text = pieces.map((piece) => eventOf(pieces.length === 1 ? toChunk(piece) : piece)).join("");
  return endsByDone(request.path) && !text.includes(DONE_EVENT.trim()) ? text + DONE_EVENT : text;
}

/** What the dialect `openai` makes of an answer that is no JSON. */
function toBytes(value: unknown): { readonly type: string; readonly body: Uint8Array } | null {
  if (typeof value !== "object" || value === null) return null;
  if (!("body_base64" in value) || !("content_type" in value)) return null;
  const { body_base64: base64, content_type: type } = value;
  return typeof base64 === "string" && typeof type === "string" ? { type, body: decodeBase64(base64) } : null;
}
