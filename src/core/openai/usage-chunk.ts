// The broker asks every stream for its usage; what comes of it must not reach a client that did not ask.
import { fieldsOf } from "../json/value.ts";

/** `{` or `,`, the member, and the comma after it. White space is JSON's own: no other may stand between tokens. */
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
 * Done on the text, because parsing and writing would change numbers, escapes and order. A match is a member, never a part
 * of a string: within a string every quote follows a backslash. Neither quote of a match does, so both are marks of the
 * text. The second has a letter before it, and no letter stands before an opening quote in JSON, so it closes a string; the
 * first, the mark before it, opens the same one. A string with a colon behind it is a key.
 */
export function withoutNullUsage(text: string): string {
  // Most servers add none: then this look is all that it costs.
  if (!text.includes('"usage"')) return text;
  return text.replace(NULL_USAGE, (_match, before: string, after: string | undefined) =>
    before === "{" ? before : (after ?? ""),
  );
}
