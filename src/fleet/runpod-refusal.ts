// What RunPod's refusals mean (REST v2, docs/wire.md 8.7).
import type { ProviderOperation, Refusal } from "../core/fleet/provider.ts";
import { fieldsOf, textOf } from "../core/json/value.ts";
import type { VendorAnswer } from "./vendor-call.ts";
import { answeredWords } from "./words.ts";

/** There is no code for missing capacity, only sentences. Each phrase is of one that was seen, or that RunPod's clients look for. */
const NO_CAPACITY =
  /resources to deploy your pod|insufficient capacity|no available machine|out of stock|no longer any instances available|not enough free \S+ on the host/i;

/** An answer that is no success, and does not mean that the pod is gone. */
export function refusedBy(operation: ProviderOperation, { status, body, retryAfterMs }: VendorAnswer): Refusal {
  const said = problemText(body);
  const detail = answeredWords("RunPod", status, said);
  // A 500 is answered so, too, and then surely nothing was made.
  const asks = operation === "create" || operation === "start";
  if (asks && (status === 400 || status === 409 || status === 500) && NO_CAPACITY.test(said))
    return { kind: "no_capacity", detail };
  switch (status) {
    case 401:
    case 403:
      return { kind: "denied", detail };
    case 402:
      return { kind: "unpaid", detail };
    case 429:
      return { kind: "wait", retryAfterMs, detail };
    case 404:
      // A create that names something unknown; a list is always there, so that this is another server.
      return { kind: operation === "list" ? "unreachable" : "bad_config", detail };
    default:
      return { kind: status >= 500 || status === 408 ? "unclear" : "bad_config", detail };
  }
}

/** `detail`, else `title`, and the lines of a violation of the schema. "": the body is no problem. */
function problemText(body: unknown): string {
  const text = textOf(body, "detail") || textOf(body, "title");
  const errors: unknown = fieldsOf(body)?.errors;
  const lines = Array.isArray(errors) ? errors.filter((line) => typeof line === "string") : [];
  return [text, ...lines].filter((part) => part !== "").join(" ");
}
