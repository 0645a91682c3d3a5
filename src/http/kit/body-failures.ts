// Turns the refusal of a submit's body into its client's failure, for /run, /runsync and the OpenAI routes alike.
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import type { ReadFailure } from "../../payload/envelope.ts";

/** Refuses, before a byte of the body is read, a body that is compressed or whose announced length is too large. */
export function checkBodyHeaders(headers: Headers, maxBytes: number): Result<null> {
  const encoding = headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  if (encoding !== "" && encoding !== "identity") {
    return fail({ kind: "unsupported_media", message: "the body must not be compressed" });
  }
  const length = Number(headers.get("content-length") ?? "0");
  return length > maxBytes ? fail({ kind: "too_large", maxBytes }) : ok(null);
}

/** `fieldsRule`: the text of the failure when the fields together are too large. */
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
