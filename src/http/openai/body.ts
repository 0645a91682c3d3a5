// The body of a request to an OpenAI route, kept as it came, except that a stream's usage is asked for in the client's
// name. JSON is checked as it streams by; any other body, such as an audio file, becomes a JSON string of its base64.
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import { checkBodyHeaders } from "../../core/job/submit-headers.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { ENVELOPE_FIELDS_MAX_BYTES } from "../../core/limits.ts";
import { isJsonType, type OpenAiRequest } from "../../core/openai/request.ts";
import { isCompletions } from "../../core/openai/shown-events.ts";
import { STORED_FIELDS, StoredFields } from "../../core/openai/stored-responses.ts";
import { askForUsage, USAGE_ASK } from "../../core/openai/stream-options.ts";
import { readBase64 } from "../../payload/base64-body.ts";
import type { BodySource, ValueOptions } from "../../payload/envelope.ts";
import { readObject } from "../../payload/object-body.ts";
import { bodyFailure } from "../kit/body-failures.ts";
import { bodyOf } from "../kit/request-body.ts";
import { dropInput } from "../kit/submit-job.ts";

export interface OpenAiBody extends Pick<OpenAiRequest, "contentType" | "stream" | "hidesUsage"> {
  readonly input: PayloadRef;
}

const NOTED = new Set(["stream", "stream_options", ...STORED_FIELDS]);
const EMPTY: PayloadRef = { kind: "inline", bytes: new TextEncoder().encode("{}") };

const FIELDS_RULE = `the names of its fields may have at most ${ENVELOPE_FIELDS_MAX_BYTES} bytes together`;
const JSON_ONLY: Failure = { kind: "unsupported_media", message: "the body of this route must be application/json" };
const NO_BODY: OpenAiBody = { input: EMPTY, contentType: null, stream: false, hidesUsage: false };
/** The size of the JSON string that an empty body is read as. */
const NO_BYTES_SIZE = 2;

interface OpenAiBodyOptions extends ValueOptions {
  readonly path: string;
  /** The server must store nothing of the request (core/openai/stored-responses.ts). */
  readonly keepsNothing: boolean;
}

/** Reads the body of a request. After a refusal nothing is left in R2. */
export async function readOpenAiBody(request: Request, options: OpenAiBodyOptions): Promise<Result<OpenAiBody>> {
  const { headers } = request;
  const allowed = checkBodyHeaders(headers, options.maxBytes);
  if (!allowed.ok) return allowed;
  const body = request.body === null ? null : await bodyOf(request);
  if (body === null || (body instanceof Uint8Array && body.length === 0)) return ok(NO_BODY);
  // A body without a type from its sender is JSON; fetch itself sends text/plain for a string.
  const announced = headers.get("content-type") ?? "";
  const contentType = announced === "" || /^text\/plain\s*(?:;|$)/i.test(announced) ? "application/json" : announced;
  if (isJsonType(contentType)) return readJson(body, contentType, options);
  // A server that ignores the type would still read fields from such a body, which we cannot check.
  return options.keepsNothing ? fail(JSON_ONLY) : readOther(body, contentType, options);
}

async function readJson(
  body: NonNullable<BodySource>,
  contentType: string,
  options: OpenAiBodyOptions,
): Promise<Result<OpenAiBody>> {
  const isAsked = (noted: ReadonlyMap<string, string>): boolean =>
    isCompletions(options.path) && noted.get("stream") === "true";
  const adds = (noted: ReadonlyMap<string, string>): boolean => isAsked(noted) && !noted.has("stream_options");
  const stored = options.keepsNothing ? new StoredFields() : null;
  const read = await readObject(body, {
    ...options,
    names: NOTED,
    atEnd: (noted, isEmpty) => {
      for (const [name, text] of noted) stored?.see(name, text);
      return adds(noted) ? USAGE_ASK : (stored?.addition(isEmpty) ?? "");
    },
  });
  if (read.kind !== "ok") return fail(bodyFailure(read, options.maxBytes, FIELDS_RULE));
  if (stored !== null && stored.problem !== null) {
    await dropInput(read.payload, options.bucket);
    return fail({ kind: "invalid", ...stored.problem });
  }
  const { noted, payload } = read;
  const stream = noted.get("stream") === "true";
  if (adds(noted) || !isAsked(noted)) {
    return ok({ input: payload, contentType, stream, hidesUsage: adds(noted) });
  }
  // A client's own `stream_options` in a body of megabytes stay unchanged; its tokens are then counted from the events.
  if (payload.kind !== "inline") return ok({ input: payload, contentType, stream, hidesUsage: false });
  const asked = askForUsage(new TextDecoder().decode(payload.bytes));
  const input: PayloadRef = asked.added ? { kind: "inline", bytes: new TextEncoder().encode(asked.body) } : payload;
  return ok({ input, contentType, stream, hidesUsage: asked.added });
}

async function readOther(
  body: NonNullable<BodySource>,
  contentType: string,
  options: ValueOptions,
): Promise<Result<OpenAiBody>> {
  const read = await readBase64(body, options);
  if (read.kind !== "ok") return fail(bodyFailure(read, options.maxBytes, FIELDS_RULE));
  const { payload } = read;
  if (payload.kind === "inline" && payload.bytes.length === NO_BYTES_SIZE) return ok(NO_BODY);
  return ok({ input: payload, contentType, stream: false, hidesUsage: false });
}
