// The error of an OpenAI route, in the form of OpenAI's clients, made of a failed job's text from any of many servers.

import { cutToBytes } from "../bytes/utf8.ts";
import { type Fields, fieldsOf, parseJson } from "../json/value.ts";
import { ERROR_TEXT_MAX_BYTES } from "../limits.ts";
import { closeCut } from "./cut-text.ts";
import { parsePythonLiteral } from "./python-literal.ts";

/** An error in OpenAI's shape, with the HTTP status by which its clients choose the class of their exception. */
interface OpenAiError {
  readonly status: number;
  readonly error: Omit<ParsedError, "status" | "type"> & { readonly type: string };
}

/** The parts of an error that a text contains; null: it does not contain that part. */
interface ParsedError {
  readonly status: number | null;
  readonly message: string;
  readonly type: string | null;
  readonly param: string | null;
  readonly code: string | number | null;
}

/** Errors are nested, such as an exception's text in an SDK's JSON in an upstream's body: so many levels are read. */
const NESTED_MAX = 8;
/** The longest type, code or path of a parameter; the rest is cut. */
const WORD_MAX_CHARS = 200;
/** A longer output is a result, and no error: errors have 70 KB with all their logs. */
export const ERROR_OUTPUT_MAX_CHARS = 1024 * 1024;
/** An error's body begins with its `error`, or names itself one, before its long members. */
export const ERROR_NAMED_MAX_CHARS = 4_096;
const UPSTREAM_ANSWERED = /^the upstream answered (\d{3})(?:: ([\s\S]*))?$/;
/** The text of an exception of OpenAI's Python client, which a handler that proxies with it raises. */
const CLIENT_EXCEPTION = /^Error code: (\d{3}) - ([\s\S]*)$/;
const TIMED_OUT = "executionTimeout exceeded";
const LOST_WORKER = /^job timed out after \d+ retries$/;
/** Where Python's traceback begins, in the forms of RunPod's SDK and of Python itself. */
const TRACEBACK = /\btraceback:|Traceback \(most recent call last\):/;
const EXCEPTION_LINE = /^[A-Za-z_][\w.]*(?:: .*)?$/;
const HTML = /^\s*<(?:!doctype html|html)\b/i;
const HTML_TITLE = /<title>([^<]*)<\/title>/i;

/** Statuses by types and codes, in lower case, without punctuation and without "error" at their end. */
const STATUS_BY_WORD: Readonly<Record<string, number>> = {
  badrequest: 400,
  invalidrequest: 400,
  contextlengthexceeded: 400,
  exceedcontextsize: 400,
  authentication: 401,
  unauthorized: 401,
  invalidapikey: 401,
  permission: 403,
  permissiondenied: 403,
  forbidden: 403,
  notfound: 404,
  modelnotfound: 404,
  conflict: 409,
  requesttoolarge: 413,
  unprocessableentity: 422,
  // TGI answers its validation errors with this status.
  validation: 422,
  ratelimit: 429,
  ratelimitexceeded: 429,
  insufficientquota: 429,
  overloaded: 503,
  serviceunavailable: 503,
  unavailable: 503,
};

const TYPE_BY_STATUS: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
};

/** The error for a failed job's text; its status is 500 if the text names none. It never contains a traceback. */
export function openAiErrorOf(text: string): OpenAiError {
  if (text === TIMED_OUT) return toError({ ...plain(text), status: 504 });
  if (LOST_WORKER.test(text)) return toError({ ...plain(text), status: 502 });
  return toError(readText(text, 0));
}

/** The error in a completed job's output: `{"error": …}`, or vLLM's `{"object":"error"}`; null: it is not an error. */
export function openAiErrorOfOutput(value: unknown): OpenAiError | null {
  const fields = fieldsOf(value);
  if (fields === null) return null;
  // The Responses API returns a failed response as an object of its own, which contains the error and is kept as it is.
  const isOne = typeof fields.object === "string" ? fields.object === "error" : isError(fields.error);
  return isOne ? toError(readValue(fields, 0)) : null;
}

/** Is the value of a member `error` one? Servers also write `null`, `{}`, `0` or an empty text where there is none. */
export function isError(value: unknown): boolean {
  if (typeof value === "string") return value !== "";
  return value === true || Object.keys(fieldsOf(value) ?? {}).length > 0;
}

/** The value in a list of one, or of a JSON text; any other value is returned as it is. */
export function onlyValue(value: unknown): unknown {
  const one: unknown = Array.isArray(value) && value.length === 1 ? value[0] : value;
  return typeof one === "string" && /^\s*\{/.test(one) ? parseJson(one) : one;
}

/**
 * The error of a job whose output is one, or a list that ends with one, as `{"error": …}`; null: it has none. Looked for in
 * outputs that name an error in their beginning and are not too long: a result may be many megabytes.
 */
export function errorTextOfOutput(output: string): string | null {
  if (output.length > ERROR_OUTPUT_MAX_CHARS || !mayBeError(output)) return null;
  const value = parseJson(output);
  const last = onlyValue(Array.isArray(value) ? value.slice(-1) : value);
  if (openAiErrorOfOutput(last) === null) return null;
  const fields = fieldsOf(last);
  return JSON.stringify({ error: isError(fields?.error) ? fields?.error : fields });
}

/** May an output with this beginning be an error? A list of events names it anywhere. */
export function mayBeError(beginning: string): boolean {
  return /^\s*\[/.test(beginning) || beginning.slice(0, ERROR_NAMED_MAX_CHARS).includes("error");
}

function toError(parsed: ParsedError): OpenAiError {
  const status = parsed.status ?? statusOfWord(parsed.type) ?? statusOfWord(parsed.code) ?? 500;
  const type = parsed.type ?? TYPE_BY_STATUS[status] ?? (status < 500 ? "invalid_request_error" : "server_error");
  const message =
    withoutTraceback(cutToBytes(parsed.message, ERROR_TEXT_MAX_BYTES)) || "the worker failed without a message";
  const code = typeof parsed.code === "string" ? parsed.code.slice(0, WORD_MAX_CHARS) : parsed.code;
  const param = parsed.param?.slice(0, WORD_MAX_CHARS) ?? null;
  return { status, error: { message, type: type.slice(0, WORD_MAX_CHARS), param, code } };
}

/** The text before the traceback; if there is none, the exception, which is the traceback's last line. */
function withoutTraceback(text: string): string {
  const at = text.search(TRACEBACK);
  const before = (at === -1 ? text : text.slice(0, at)).trim();
  if (before !== "") return before;
  const last = text.trimEnd().split("\n").slice(1).at(-1) ?? "";
  return EXCEPTION_LINE.test(last) ? last : "";
}

function readText(text: string, nested: number): ParsedError {
  const [, status, body = ""] = UPSTREAM_ANSWERED.exec(text) ?? CLIENT_EXCEPTION.exec(text) ?? [];
  if (status !== undefined) {
    const parsed = readText(body, nested + 1);
    const message = parsed.message || `the upstream answered ${status}`;
    return { ...parsed, status: asStatus(status) ?? parsed.status, message };
  }
  if (HTML.test(text)) return plain(HTML_TITLE.exec(text)?.[1]?.trim() ?? "");
  const value = nested < NESTED_MAX ? parseEither(text) : undefined;
  return value === undefined ? plain(text) : readValue(value, nested + 1);
}

function readValue(value: unknown, nested: number): ParsedError {
  if (typeof value === "string") return readText(value, nested);
  const fields = fieldsOf(value);
  if (fields === null || nested > NESTED_MAX) return plain(asText(value));
  if (isFilled(fields.error)) return readWrapped(fields, nested);
  if (typeof fields.error_message === "string") {
    const parsed = readText(fields.error_message, nested);
    return { ...parsed, type: parsed.type ?? className(fields.error_type) };
  }
  if (isFilled(fields.detail)) return { ...readDetail(fields.detail, nested), status: statusIn(fields) };
  if (isFilled(fields.message)) return readFields(fields);
  return plain(asText(value));
}

/** `{"error": …}`: an object in OpenAI's shape, or a text with its type beside it (TGI). */
function readWrapped(fields: Fields, nested: number): ParsedError {
  const parsed = readValue(fields.error, nested + 1);
  const type = parsed.type ?? (typeof fields.error_type === "string" ? fields.error_type : null);
  return { ...parsed, type, status: parsed.status ?? statusIn(fields) };
}

function readFields(fields: Fields): ParsedError {
  const { message, type, param, code } = fields;
  return {
    status: statusIn(fields),
    message: asText(message),
    type: typeof type === "string" && type !== "" ? type : null,
    param: typeof param === "string" ? param : null,
    code: typeof code === "string" || Number.isSafeInteger(code) ? (code as string | number) : null,
  };
}

/** FastAPI's `detail`: a text, any value of the server's own, or the list of what did not validate. */
function readDetail(detail: unknown, nested: number): ParsedError {
  const [first] = Array.isArray(detail) ? detail : [];
  if (typeof fieldsOf(first)?.msg !== "string") return readValue(detail, nested + 1);
  const problems = (detail as unknown[]).map(fieldsOf).filter((problem) => problem !== null);
  const told = problems.map((problem) => [pathOf(problem), asText(problem.msg)].filter(Boolean).join(": "));
  return { ...plain(told.join("; ")), param: pathOf(problems[0]) || null };
}

/** The path of a problem, without the `body` at its beginning. */
function pathOf(problem: Fields | undefined): string {
  const path: unknown[] = Array.isArray(problem?.loc) ? problem.loc : [];
  return path.filter((step, at) => at > 0 || step !== "body").join(".");
}

function statusIn(fields: Fields): number | null {
  const { code, status_code, statusCode, status } = fields;
  return [code, status_code, statusCode, status].map(asStatus).find((found) => found !== null) ?? null;
}

function asStatus(value: unknown): number | null {
  const status = typeof value === "string" && /^\d{3}$/.test(value) ? Number(value) : value;
  return typeof status === "number" && Number.isInteger(status) && status >= 400 && status <= 599 ? status : null;
}

function statusOfWord(word: string | number | null): number | null {
  if (typeof word !== "string") return null;
  const plainWord = word
    .toLowerCase()
    .replace(/[^a-z]/g, "")
    .replace(/error$/, "");
  return Object.hasOwn(STATUS_BY_WORD, plainWord) ? (STATUS_BY_WORD[plainWord] ?? null) : null;
}

/** The name of a class: `NotFoundError` for `<class 'openai.NotFoundError'>`. */
function className(text: unknown): string | null {
  return typeof text === "string" ? (/(\w+)'?>?$/.exec(text.slice(-WORD_MAX_CHARS))?.[1] ?? null) : null;
}

/** The value of JSON or of Python's repr, whole or cut; undefined for other text, also for a lone number or word. */
function parseEither(text: string): unknown {
  if (!/^\s*[{["'(]/.test(text)) return undefined;
  for (const candidate of [text, ...closeCut(text)]) {
    const value = parseJson(candidate) ?? parsePythonLiteral(candidate);
    if (value !== undefined) return value;
  }
  return undefined;
}

function plain(message: string): ParsedError {
  return { status: null, message, type: null, param: null, code: null };
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function isFilled(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "" && value !== false;
}
