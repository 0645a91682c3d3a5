// A GraphQL call on its way to the code that serves its field, and what that code may give.
import type { Caller } from "../../contract/identity.ts";
import { fail, type Result } from "../../core/failure.ts";
import type { ManageContext } from "../../manage/context.ts";

export interface GraphQlCall {
  readonly env: Env;
  readonly caller: Caller;
  readonly nowMs: number;
  readonly context: ManageContext;
}

/** What a field is; of an object, only the members that the query names are sent. */
export type Resolved = Result<object | null>;

/** A field that Waybill does not serve. The sentence ends with what to use in its place. */
export function notServed(field: string, use: string): Result<never> {
  return fail({
    kind: "wrong_state",
    message: `${field} is not served by this Waybill deployment: use ${use} instead`,
  });
}

/** Items of a text with commas between them, as RunPod's GraphQL takes lists. */
export function splitText(text: string | null | undefined): string[] {
  return (text ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}
