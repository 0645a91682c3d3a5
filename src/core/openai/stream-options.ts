// Reads and changes the few members of an OpenAI request that the broker must know, on its text: a body may be 20 MiB, and
// what is not asked about must reach the server byte for byte.

/** A member of an object in a text: its name, and where its value begins and ends. */
interface Member {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** A piece of text to stand in the place of another. */
interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

const ASKED = '"include_usage":true';
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * The raw JSON text of a member of an object's top level; null when it has none. Nothing is checked or copied: of a text that is
 * no JSON object, what can be made out counts. Of two equal names the last one does, as for JSON.parse and Python.
 */
export function memberText(body: string, member: string): string | null {
  let found: string | null = null;
  for (const { name, from, to } of membersOf(body, 0)) if (name === member) found = body.slice(from, to);
  return found;
}

/**
 * The JSON text of a streaming request, changed so that the server sends the stream's usage; every other byte stays.
 * `added`: the client did not ask for it, and must not see it. A `stream_options` that is neither an object nor null is
 * left for the server to refuse, and a text that is no object as well.
 */
export function askForUsage(body: string): { readonly body: string; readonly added: boolean } {
  const start = skipSpace(body, 0);
  if (body.charCodeAt(start) !== OPEN_OBJECT) return { body, added: false };
  const edits: Edit[] = [];
  let isThere = false;
  // Parsers differ in which of two equal names counts, so each is made to say the same.
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

/** A member at the front of the object that opens at `start`. */
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

/** The members of the object that begins at `start`, each as often as it stands there; it ends early where the text is no object any more. */
export function* membersOf(text: string, start: number): Generator<Member, void> {
  let at = skipSpace(text, start);
  if (text.charCodeAt(at) !== OPEN_OBJECT) return;
  do {
    const nameFrom = skipSpace(text, at + 1);
    if (text.charCodeAt(nameFrom) !== QUOTE) return;
    const nameTo = skipString(text, nameFrom);
    const colon = skipSpace(text, nameTo);
    if (text.charCodeAt(colon) !== COLON) return;
    const from = skipSpace(text, colon + 1);
    const to = skipValue(text, from);
    if (to === from || to > text.length) return;
    yield { name: stringOf(text.slice(nameFrom, nameTo)) ?? "", from, to };
    at = skipSpace(text, to);
  } while (text.charCodeAt(at) === COMMA);
}

/** The index behind the value that begins here. */
function skipValue(text: string, from: number): number {
  let depth = 0;
  let at = from;
  while (at < text.length) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) {
      at = skipString(text, at);
      if (depth === 0) return at;
      continue;
    }
    if (char === OPEN_OBJECT || char === OPEN_LIST) depth += 1;
    else if (char === CLOSE_OBJECT || char === CLOSE_LIST) {
      if (depth === 0) return at;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (char === COMMA || isSpace(char))) return at;
    at += 1;
  }
  return at;
}

/** The index behind the string that begins here. Most of a large body is in strings, so the engine's own search finds their end. */
function skipString(text: string, from: number): number {
  let at = from;
  for (;;) {
    at = text.indexOf('"', at + 1);
    if (at === -1) return text.length + 1;
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return at + 1;
  }
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at += 1;
  return at;
}

function isSpace(char: number): boolean {
  return char === 0x20 || char === 0x0a || char === 0x0d || char === 0x09;
}

/** A JSON string's value; null for another kind of text. */
function stringOf(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "string" ? value : null;
  } catch {
    return null;
  }
}
