// Why the body of a submit is refused, as the failure that its client is told: for /run, /runsync and the OpenAI routes alike.
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import type { ReadFailure } from "../../payload/envelope.ts";

/** Refuses, before a byte is read, what is compressed or says that it is too large. */
export function checkBodyHeaders(headers: Headers, maxBytes: number): Result<null> {
  const encoding = headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  if (encoding !== "" && encoding !== "identity") {
    return fail({ kind: "unsupported_media", message: "the body must not be compressed" });
  }
  const length = Number(headers.get("content-length") ?? "0");
  return length > maxBytes ? fail({ kind: "too_large", maxBytes }) : ok(null);
}

/** `fieldsRule`: what is said of fields that are too large together. */
export function bodyFailure(refusal: ReadFailure, maxBytes: number, fieldsRule: string): Failure {
  switch (refusal.kind) {
    case "too_large":
      return { kind: "too_large", maxBytes };
    case "fields_too_large":
      return { kind: "invalid", field: "body", message: fieldsRule };
    case "bad_json":
    case "not_object":
    case "read_failed":
      return { kind: "invalid", field: "body", message: refusal.message };
    case "storage_failed":
      return { kind: "unavailable", message: "the storage for large inputs (R2) does not answer" };
  }
}
