// The headers of a submit: media type, announced length, Idempotency-Key.
import { fail, ok, type Result } from "../failure.ts";
import { IDEMPOTENCY_KEY_MAX_CHARS } from "../limits.ts";

/** Refuses, before a byte of the body is read, a body that is not plain JSON or whose announced length is too large. */
export function checkSubmitHeaders(headers: Headers, maxBytes: number): Result<null> {
  if (!isJsonText(headers.get("content-type"))) {
    return fail({ kind: "unsupported_media", message: "the content type must be application/json" });
  }
  return checkBodyHeaders(headers, maxBytes);
}

/** Refuses, before a byte of the body is read, a body that is compressed or whose announced length is too large. */
export function checkBodyHeaders(headers: Headers, maxBytes: number): Result<null> {
  const encoding = headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  if (encoding !== "" && encoding !== "identity") {
    return fail({ kind: "unsupported_media", message: "the body must not be compressed" });
  }
  const length = Number(headers.get("content-length") ?? "0");
  return length > maxBytes ? fail({ kind: "too_large", maxBytes }) : ok(null);
}

/** Is it JSON in UTF-8? RunPod also takes a body without a type, or with the type that `fetch` gives to a string. */
function isJsonText(contentType: string | null): boolean {
  if (contentType === null || contentType.trim() === "") return true;
  const [type = "", ...parameters] = contentType.toLowerCase().split(";");
  if (!["application/json", "text/json", "text/plain"].includes(type.trim())) return false;
  const charset = parameters.map((text) => text.trim()).find((text) => text.startsWith("charset="));
  return charset === undefined || /^charset="?utf-?8"?$/.test(charset);
}

/**
 * The Idempotency-Key; null when absent. The draft standard puts it into quotes, most clients do not: both are the same
 * key. Two headers arrive joined by a comma and are refused, because nobody can say which one was meant.
 */
export function readIdempotencyKey(headers: Headers): Result<string | null> {
  const text = headers.get("idempotency-key");
  if (text === null) return ok(null);
  const quoted = /^"([^"]*)"$/.exec(text.trim())?.[1];
  const key = quoted ?? text.trim();
  const isOne = quoted !== undefined || !/[",]/.test(key);
  if (isOne && key.length <= IDEMPOTENCY_KEY_MAX_CHARS && /^[\x21-\x7e]+$/.test(key)) return ok(key);
  const message = `must be one key of 1 to ${IDEMPOTENCY_KEY_MAX_CHARS} visible ASCII characters`;
  return fail({ kind: "invalid", field: "Idempotency-Key", message });
}
