// What the code that serves a field of GraphQL may give, and how it reads the field's arguments.
import { fail, type Result } from "../../core/failure.ts";

/** What a field is; of an object, only the members that the query names are sent. */
export type Resolved = Result<object | null>;

/** A field that Waybill does not serve. The sentence ends with what to use in its place. */
export function notServed(field: string, use: string): Result<never> {
  return fail({
    kind: "wrong_state",
    message: `${field} is not served by this Waybill deployment: use ${use} instead`,
  });
}

/** RunPod's clients send null or an empty text for what is not given. */
export function isGiven(value: string | null | undefined): value is string {
  return value !== null && value !== undefined && value !== "";
}

/** Items of a text with commas between them, as RunPod's GraphQL takes lists. */
export function splitText(text: string | null | undefined): string[] {
  return (text ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}
