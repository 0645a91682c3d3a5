// One structured line for each event. Callers pass named facts only, never bodies, keys, secrets or lease tokens. A
// fact may be the text of an error, which can contain a secret: all secrets that were opened here are blanked.
import { blankText, SecretForms } from "./core/access/secret-forms.ts";

/** Each line is searched for each secret, so an isolate that serves many endpoints keeps only those opened last. */
const KEPT_OUT_MAX = 100;
const keptOut = new Map<string, SecretForms>();

/** Writes one line of JSON; `event` is a stable name such as `lease_lost`. */
export function log(event: string, facts: Readonly<Record<string, string | number | boolean | null>>): void {
  console.log(blankText(JSON.stringify({ event, ...facts }), [...keptOut.values()]));
}

/** Blanks this secret in all lines from now on. */
export function keepOutOfLogs(secret: string): void {
  const forms = keptOut.get(secret) ?? new SecretForms([secret]);
  // Deleted first, so that the secret becomes the last one of the map: the map is in the order of opening.
  keptOut.delete(secret);
  keptOut.set(secret, forms);
  const [oldest] = keptOut.keys();
  if (keptOut.size > KEPT_OUT_MAX && oldest !== undefined) keptOut.delete(oldest);
}
