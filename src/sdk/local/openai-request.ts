// A request to the OpenAI routes of a local endpoint as a job: the input that RunPod's workers get of it (docs/wire.md 2.1).
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import { checkBodyHeaders } from "../../core/job/submit-headers.ts";
import { EXECUTION_TIMEOUT_DEFAULT_MS, RUNSYNC_BODY_MAX_BYTES, TTL_DEFAULT_MS } from "../../core/limits.ts";
import { passedHeaders } from "../../core/openai/passed-headers.ts";
import { isJsonType, type OpenAiRequest, openAiInput } from "../../core/openai/request.ts";
import { allowsRoute, INFERENCE } from "../../core/openai/routes.ts";
import { isCompletions } from "../../core/openai/shown-events.ts";
import { keepsNothing, StoredFields } from "../../core/openai/stored-responses.ts";
import { askForUsage } from "../../core/openai/stream-options.ts";
import { bodyProblem, targetProblem } from "../../core/openai/target.ts";
import type { LocalCall } from "./answer.ts";
import { readFields } from "./body.ts";
import type { LocalWork } from "./job.ts";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const JSON_ONLY: Failure = { kind: "unsupported_media", message: "the body of this route must be application/json" };

/** The body for the worker, and what the request's answer depends on. */
interface OpenAiBody extends Pick<OpenAiRequest, "contentType" | "stream" | "hidesUsage"> {
  /** JSON text. */
  readonly text: string;
}

const NO_BODY: OpenAiBody = { text: "{}", contentType: null, stream: false, hidesUsage: false };

export async function readOpenAi(call: LocalCall): Promise<Result<LocalWork & { readonly request: OpenAiRequest }>> {
  const { method, headers, url } = call;
  if (!METHODS.includes(method)) return fail({ kind: "method_not_allowed", allow: METHODS.join(", ") });
  const path = call.path.slice("/openai".length);
  if (!allowsRoute(INFERENCE, method, path)) return fail({ kind: "route_closed", method, path, endpointId: "local" });
  const allowed = checkBodyHeaders(headers, RUNSYNC_BODY_MAX_BYTES);
  if (!allowed.ok) return allowed;
  const bytes = await call.readBody(RUNSYNC_BODY_MAX_BYTES);
  if (bytes === null) return fail({ kind: "too_large", maxBytes: RUNSYNC_BODY_MAX_BYTES });
  const type = bytes.length === 0 ? null : (headers.get("content-type") ?? "application/json");
  const passed = passedHeaders((name) => headers.get(name));
  const problem = targetProblem(path, url.search) ?? bodyProblem(method, type) ?? passed.problem;
  if (problem !== null) return fail({ kind: "invalid", ...problem });
  const body = type === null ? ok(NO_BODY) : readBody(bytes, type, path);
  if (!body.ok) return body;
  const { text, ...asked } = body.value;
  const request: OpenAiRequest = { method, path, query: url.search, ...asked };
  const parts = openAiInput(request, { kind: "inline", bytes: new Uint8Array(0) });
  return ok({
    mode: "runsync",
    input: JSON.parse(parts.map((part) => (typeof part === "string" ? part : text)).join("")),
    fields: {},
    executionTimeoutMs: EXECUTION_TIMEOUT_DEFAULT_MS,
    ttlMs: TTL_DEFAULT_MS,
    lowPriority: false,
    request,
  });
}

function readBody(bytes: Uint8Array, announced: string, path: string): Result<OpenAiBody> {
  // fetch itself sends text/plain for a string.
  const contentType = /^text\/plain\s*(?:;|$)/i.test(announced) ? "application/json" : announced;
  const isKeptBack = keepsNothing(INFERENCE, path);
  if (isJsonType(contentType)) return readJson(bytes, contentType, { path, isKeptBack });
  if (isKeptBack) return fail(JSON_ONLY);
  const text = JSON.stringify(Buffer.from(bytes).toString("base64"));
  return ok({ text, contentType, stream: false, hidesUsage: false });
}

/** `isKeptBack`: a server must store nothing of the request. */
function readJson(
  bytes: Uint8Array,
  contentType: string,
  { path, isKeptBack }: { readonly path: string; readonly isKeptBack: boolean },
): Result<OpenAiBody> {
  const read = readFields(bytes);
  if (!read.ok) return read;
  const stored = new StoredFields();
  for (const [name, text] of read.value) stored.see(name, text);
  if (isKeptBack && stored.problem !== null) return fail({ kind: "invalid", ...stored.problem });
  const stream = read.value.get("stream") === "true";
  const body = new TextDecoder().decode(bytes);
  if (isKeptBack) {
    const added = stored.addition(read.value.size === 0);
    return ok({ text: body.replace(/\}\s*$/, () => `${added}}`), contentType, stream, hidesUsage: false });
  }
  if (!stream || !isCompletions(path)) return ok({ text: body, contentType, stream, hidesUsage: false });
  const asked = askForUsage(body);
  return ok({ text: asked.body, contentType, stream, hidesUsage: asked.added });
}
