// Turns the refusal of a submit's body into its client's failure, for /run, /runsync and the OpenAI routes alike.
import type { Failure } from "../../core/failure.ts";
import type { ReadFailure } from "../../payload/envelope.ts";

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
