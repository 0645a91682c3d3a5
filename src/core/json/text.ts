// Finds where strings, values and members begin and end in JSON text in memory. Nothing is checked, parsed or copied:
// in a text that is not JSON, as much is found as can be recognised. scanner.ts checks text, and reads bytes.
import { parseJson } from "./value.ts";

/** A member of an object in a text: its name, and where its value begins and ends. */
interface Member {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** After NEAR_CHARS without a mark, as in a list of numbers, the engine's search is many times as fast as a loop. */
const MARK = /["[\]{}]/g;
const NEAR_CHARS = 32;

/** All members of the object that begins at `start`, duplicates too; ends early where the text is no object. */
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
    yield { name: nameOf(text.slice(nameFrom, nameTo)), from, to };
    at = skipSpace(text, to);
  } while (text.charCodeAt(at) === COMMA);
}

/** The raw text of an object's member; null: it has none. Of equal names the last counts, as in JSON.parse. */
export function memberText(text: string, member: string): string | null {
  let found: string | null = null;
  for (const { name, from, to } of membersOf(text, 0)) if (name === member) found = text.slice(from, to);
  return found;
}

function nameOf(raw: string): string {
  if (!raw.includes("\\")) return raw.slice(1, -1);
  const name = parseJson(raw);
  return typeof name === "string" ? name : "";
}

/** The first index from `from` on that is not white space. */
export function skipSpace(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at += 1;
  return at;
}

/** The index behind the value that begins at `from`. */
export function skipValue(text: string, from: number): number {
  let at = from;
  for (; at < text.length; at += 1) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) return skipString(text, at);
    if (opens(char)) return skipContainer(text, at);
    if (char === COMMA || closes(char) || isSpace(char)) return at;
  }
  return at;
}

/**
 * The index of the first bracket outside of strings from `from` on; at least the text's length when there is none.
 * `from` must not be within a string.
 */
export function nextBracket(text: string, from: number): number {
  let at = from;
  let near = at + NEAR_CHARS;
  while (at < text.length) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) {
      at = skipString(text, at);
      near = at + NEAR_CHARS;
    } else if (opens(char) || closes(char)) return at;
    else at = at < near ? at + 1 : nextMark(text, at);
  }
  return at;
}

function nextMark(text: string, from: number): number {
  MARK.lastIndex = from;
  return MARK.test(text) ? MARK.lastIndex - 1 : text.length;
}

/** Whether this character opens an object or a list. */
export function opens(char: number): boolean {
  return char === OPEN_OBJECT || char === OPEN_LIST;
}

/** Whether a character or byte is JSON's white space. */
export function isSpace(char: number): boolean {
  return char <= 0x20 && (char === 0x20 || char === 0x0a || char === 0x0d || char === 0x09);
}

function closes(char: number): boolean {
  return char === CLOSE_OBJECT || char === CLOSE_LIST;
}

function skipContainer(text: string, from: number): number {
  let depth = 0;
  let at = from;
  while (at < text.length) {
    depth += opens(text.charCodeAt(at)) ? 1 : -1;
    if (depth === 0) return at + 1;
    at = nextBracket(text, at + 1);
  }
  return at;
}

/**
 * The index behind the string that begins at `from`; more than the text's length when it has no end. The engine's own
 * search is used, because most of a large body is in strings.
 */
export function skipString(text: string, from: number): number {
  let at = text.indexOf('"', from + 1);
  // Most quotes have no backslash before them, and this check saves them the call of isEscaped.
  while (at !== -1 && text.charCodeAt(at - 1) === BACKSLASH && isEscaped(text, at)) at = text.indexOf('"', at + 1);
  return at === -1 ? text.length + 1 : at + 1;
}

/** Whether an odd number of backslashes stands before an index of a string. */
export function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
  return backslashes % 2 === 1;
}
