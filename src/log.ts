// One structured line an event. Never bodies, keys, secrets or lease tokens: callers pass named facts only. A fact may be the text
// of an error, which can hold what it failed over: what was opened here as a secret is blanked in every line.
import { blankText, SecretForms } from "./core/access/secret-forms.ts";

/** Of an isolate that serves many endpoints, those that were opened last: each line is searched for each of them. */
const KEPT_OUT_MAX = 100;
const keptOut = new Map<string, SecretForms>();

/** Writes one line of JSON; `event` is a stable name such as `lease_lost`. */
export function log(event: string, facts: Readonly<Record<string, string | number | boolean | null>>): void {
  console.log(blankText(JSON.stringify({ event, ...facts }), [...keptOut.values()]));
}

/** From now on no line has this secret in it. */
export function keepOutOfLogs(secret: string): void {
  const forms = keptOut.get(secret) ?? new SecretForms([secret]);
  // The last of the map is the one that was opened last.
  keptOut.delete(secret);
  keptOut.set(secret, forms);
  const [oldest] = keptOut.keys();
  if (keptOut.size > KEPT_OUT_MAX && oldest !== undefined) keptOut.delete(oldest);
}
