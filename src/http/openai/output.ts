// Turns the output of a finished job into its OpenAI client's answer.
import type { JobView } from "../../contract/job-view.ts";
import { ok } from "../../core/failure.ts";
import { hasResult } from "../../core/job/job.ts";
import { toError } from "../../core/job/openai-error.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { OPENAI_ANSWER_MAX_BYTES } from "../../core/openai/limits.ts";
import { isBodiless, type OpenAiRequest } from "../../core/openai/request.ts";
import { isMediaType, readFinished } from "../../core/openai/worker-output.ts";
import type { AnswerHead } from "../../dispatch/client-link.ts";
import { log } from "../../log.ts";
import { decodeBase64 } from "../../payload/base64.ts";
import { spliceBody } from "../../payload/splice.ts";
import { rawAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { StreamRead } from "../kit/read-stream.ts";
import { readWithWholeValues } from "./cut-output.ts";
import { errorAnswer, jobFailed } from "./errors.ts";

const NO_CHUNKS = toError(503, "the endpoint does not give the chunks of the result", "unavailable");
const NOT_STORED = toError(503, "the storage of large results (R2) does not give it", "unavailable");
const UNREADABLE = toError(502, "the result of the worker takes too long to read", "bad_answer");

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
  const finished = readFinished(text, request);
  const headers = { "x-job-id": job.id, ...head?.headers };
  switch (finished.kind) {
    case "error":
      return errorAnswer(c, finished.error, job.id);
    case "bytes":
      return bytesAnswer(c, finished, job.id);
    case "events": {
      const events = { ...headers, "content-type": "text/event-stream; charset=utf-8" };
      return rawAnswer(200, finished.bytes, c.get("requestId"), events);
    }
    case "json":
      return rawAnswer(status, finished.text, c.get("requestId"), headers);
    case "unreadable":
      return errorAnswer(c, UNREADABLE, job.id);
    case "several":
      return errorAnswer(c, toError(502, "the worker's answer is not one JSON object", "bad_answer"), job.id);
  }
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

/** A worker may choose these names for anything: if the fields hold no base64 or no media type, that is its fault. */
function bytesAnswer(
  c: RouteContext,
  { type, base64 }: { readonly type: string; readonly base64: string },
  jobId: string,
): Response {
  const body = decodeBase64(base64);
  if (body === null || !isMediaType(type)) {
    return errorAnswer(c, toError(502, "the worker's answer is no bytes of a type", "bad_answer"), jobId);
  }
  return rawAnswer(200, body, c.get("requestId"), { "x-job-id": jobId, "content-type": type });
}
