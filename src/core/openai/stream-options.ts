// Asks for a stream's usage in its client's name. This edits the text of the request, because all other bytes must
// reach the server unchanged.
import { membersOf, skipSpace } from "../json/text.ts";

/** A replacement of a range of the text. */
interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

const ASKED = '"include_usage":true';
/** The member that asks, as it is put before the end of a request that has other members and no `stream_options`. */
export const USAGE_ASK = `,"stream_options":{${ASKED}}`;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * The JSON text of a streaming request, changed so that the server sends the stream's usage; every other byte stays.
 * `added`: the client did not ask for the usage, and must not see it. A `stream_options` that is neither an object nor
 * null, or a text that is not an object, is left unchanged, for the server to refuse.
 */
export function askForUsage(body: string): { readonly body: string; readonly added: boolean } {
  const start = skipSpace(body, 0);
  if (body.charCodeAt(start) !== OPEN_OBJECT) return { body, added: false };
  const edits: Edit[] = [];
  let isThere = false;
  // Parsers differ in which of two equal names counts, so each of them is changed alike.
  for (const { name, from, to } of membersOf(body, 0)) {
    if (name !== "stream_options") continue;
    isThere = true;
    if (body.charCodeAt(from) === OPEN_OBJECT) edits.push(...editsWithin(body, from));
    else if (body.slice(from, to) === "null") edits.push({ from, to, text: `{${ASKED}}` });
  }
  if (!isThere) edits.push(insertion(body, start, `"stream_options":{${ASKED}}`));
  return { body: applyEdits(body, edits), added: edits.length > 0 };
}

function editsWithin(body: string, start: number): Edit[] {
  const asked = [...membersOf(body, start)].filter(({ name }) => name === "include_usage");
  if (asked.length === 0) return [insertion(body, start, ASKED)];
  return asked
    .filter(({ from, to }) => body.slice(from, to) !== "true")
    .map(({ from, to }) => ({ from, to, text: "true" }));
}

/** Inserts a member at the front of the object that opens at `start`. */
function insertion(body: string, start: number, member: string): Edit {
  const isEmpty = body.charCodeAt(skipSpace(body, start + 1)) === CLOSE_OBJECT;
  return { from: start + 1, to: start + 1, text: isEmpty ? member : `${member},` };
}

function applyEdits(body: string, edits: readonly Edit[]): string {
  let done = 0;
  let text = "";
  for (const edit of edits) {
    text += body.slice(done, edit.from) + edit.text;
    done = edit.to;
  }
  return text + body.slice(done);
}
