// The tags of a job: what its client put into the field `metadata` of the request, to find the job by. The worker gets
// the field as it came, like every field that is not the broker's own.
import { utf8Length } from "../bytes/utf8.ts";
import { fieldsOf, parseJson } from "../json/value.ts";

/** A job's tags, name → value. */
export type Metadata = Readonly<Record<string, string>>;

/** As many as the vendors of similar APIs allow: enough for a customer, an order, a version and the like. */
const PAIRS_MAX = 16;
const NAME_MAX_CHARS = 64;
/** Of the field's JSON. A list shows the tags of a hundred jobs, which must stay a small part of what a turn may send. */
export const METADATA_MAX_BYTES = 1_024;

/** What is wrong with the field, whose value is this JSON text; null: nothing. It may be null, which gives no tags. */
export function metadataProblem(raw: string): { readonly field: string; readonly message: string } | null {
  const problem = (message: string, field = "metadata") => ({ field, message });
  if (utf8Length(raw) > METADATA_MAX_BYTES) return problem(`may have at most ${METADATA_MAX_BYTES} bytes as JSON`);
  const value = parseJson(raw);
  if (value === null) return null;
  const members = fieldsOf(value);
  if (members === null) return problem("must be an object");
  const pairs = Object.entries(members);
  if (pairs.length > PAIRS_MAX) return problem(`may have at most ${PAIRS_MAX} pairs`);
  if (!pairs.every(([name]) => isName(name)))
    return problem(`may have only names of 1 to ${NAME_MAX_CHARS} characters`);
  const [wrong] = pairs.find(([, tag]) => typeof tag !== "string") ?? [];
  return wrong === undefined ? null : problem("must be a string", `metadata.${wrong}`);
}

function isName(name: string): boolean {
  const chars = [...name].length;
  return chars >= 1 && chars <= NAME_MAX_CHARS;
}

/** The tags in the field of a stored job; null: there are none. Older releases took any value, which counts as none. */
export function readMetadata(raw: string | null | undefined): Metadata | null {
  if (raw === null || raw === undefined || metadataProblem(raw) !== null) return null;
  const members = fieldsOf(parseJson(raw));
  return members === null
    ? null
    : Object.fromEntries(Object.entries(members).map(([name, tag]) => [name, String(tag)]));
}
