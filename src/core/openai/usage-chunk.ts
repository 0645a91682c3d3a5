// Waybill asks every stream for its usage, and must remove that usage for a client that did not ask for it.
import { fieldsOf } from "../json/value.ts";

/** `{` or `,`, the member, and the comma after it. JSON allows only this white space between tokens. */
const NULL_USAGE = /([{,])[ \t\r\n]*"usage"[ \t\r\n]*:[ \t\r\n]*null([ \t\r\n]*,)?/g;

/** The chunk that servers add for `include_usage`: a usage, and no choice. `value` is the parsed data of one event. */
export function isUsageChunk(value: unknown): boolean {
  const fields = fieldsOf(value);
  const choices = fields?.choices ?? [];
  return fieldsOf(fields?.usage) !== null && Array.isArray(choices) && choices.length === 0;
}

/**
 * A JSON text without its `"usage": null` members, which servers add to every chunk; every other byte stays.
 *
 * The text is edited, because parsing and writing would change numbers, escapes and order. A match is always a member,
 * never part of a string: within a string each quote follows a backslash, which neither quote of a match does, so both
 * begin or end a string. The second has a letter before it, as no opening quote in JSON does, so it ends a string; the
 * first quote, which is the one before it, begins that string. A string with a colon behind it is a key.
 */
export function withoutNullUsage(text: string): string {
  // Most servers add no such members, and then this check is the whole cost.
  if (!text.includes('"usage"')) return text;
  return text.replace(NULL_USAGE, (_match, before: string, after: string | undefined) =>
    before === "{" ? before : (after ?? ""),
  );
}
