// Bounds the text of an error. RunPod's SDK writes an error as JSON, and servers answer with JSON: such a text stays JSON
// that programs can read, with its long members shortened.
import { cutToBytes, utf8Length } from "../bytes/utf8.ts";
import { fieldsOf, parseJson } from "../json/value.ts";
import { ERROR_TEXT_MAX_BYTES } from "../limits.ts";
import { closeCut } from "../openai/cut-text.ts";

/** The characters that each string of a too long text is cut to: the first of these with which the text fits. */
const MEMBER_MAX_CHARS = [28_000, 20_000, 14_000, 10_000, 7_000, 5_000, 2_500, 1_000, 400, 100];
const LAST_MAX_CHARS = 100;
/** Members of which the end is kept, because it shows what failed. */
const KEEPS_END = /(?:^|_)(?:traceback|logs?|stack(?:_?trace)?)$/i;
/** Errors have few levels; a much deeper value would use up the stack. */
const DEPTH_MAX = 16;
const OPENING = /^\s*[{["]/;

/** The text itself if it fits, else a shorter one, which is JSON if the text is JSON or the beginning of it. */
export function boundErrorText(text: string, maxBytes = ERROR_TEXT_MAX_BYTES): string {
  const cut = cutToBytes(text, maxBytes);
  if (cut.length === text.length) return text;
  const value = OPENING.test(text) ? readWholeOrCut(text) : undefined;
  return value === undefined ? cut : shortenJson(JsonString.readIn(value), maxBytes);
}

/** The value of a text, whose end may have been cut away before; undefined: it is no JSON. */
function readWholeOrCut(text: string): unknown {
  const whole = parseJson(text);
  if (whole !== undefined) return whole;
  return closeCut(text)
    .map(parseJson)
    .find((value) => value !== undefined);
}

/** `name`: that of the member whose text the value is. */
function shortenJson(value: unknown, maxBytes: number, name = ""): string {
  const least = cutStrings(name, value, LAST_MAX_CHARS);
  if (utf8Length(JSON.stringify(least)) > maxBytes) return JSON.stringify(keepWithin(name, least, maxBytes) ?? null);
  for (const maxChars of MEMBER_MAX_CHARS) {
    const text = JSON.stringify(cutStrings(name, value, maxChars));
    if (utf8Length(text) <= maxBytes) return text;
  }
  return JSON.stringify(least);
}

/** A long string that is JSON itself, such as an answer that a handler has put into its error. */
class JsonString {
  readonly #text: string;
  readonly #value: object;

  private constructor(text: string, value: object) {
    this.#text = text;
    this.#value = value;
  }

  /** The value with each such string in it as one of these. The strings within are not searched again. */
  static readIn(value: unknown, depth = 0): unknown {
    if (typeof value === "string") {
      const inner = value.length > LAST_MAX_CHARS && OPENING.test(value) ? parseJson(value) : undefined;
      const isCuttable = typeof inner === "object" && inner !== null && !isDeeper(inner, DEPTH_MAX);
      return isCuttable ? new JsonString(value, inner) : value;
    }
    if (typeof value !== "object" || value === null || depth === DEPTH_MAX) return value;
    if (Array.isArray(value)) return value.map((item) => JsonString.readIn(item, depth + 1));
    return Object.fromEntries(
      Object.entries(value).map(([key, member]) => [key, JsonString.readIn(member, depth + 1)]),
    );
  }

  cut(name: string, maxChars: number): string {
    return this.#text.length <= maxChars ? this.#text : shortenJson(this.#value, maxChars, name);
  }
}

function cutStrings(name: string, value: unknown, maxChars: number, depth = 0): unknown {
  if (value instanceof JsonString) return value.cut(name, maxChars);
  if (typeof value === "string") return cutString(value, maxChars, KEEPS_END.test(name));
  if (typeof value !== "object" || value === null) return value;
  if (depth === DEPTH_MAX) return null;
  if (Array.isArray(value)) return value.map((item) => cutStrings(name, item, maxChars, depth + 1));
  const members = Object.entries(value).map(([key, member]) => [
    key,
    cutStrings(nameWithin(name, key), member, maxChars, depth + 1),
  ]);
  return Object.fromEntries(members);
}

/** Has the value more levels than this? */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((member) => isDeeper(member, levels - 1));
}

/** Whatever is within logs or a traceback is a part of them. */
function nameWithin(name: string, key: string): string {
  return KEEPS_END.test(name) ? name : key;
}

/** A cut leaves no half of a surrogate pair, which would not be a character. */
function cutString(text: string, maxChars: number, keepsEnd: boolean): string {
  if (text.length <= maxChars) return text;
  return keepsEnd
    ? text.slice(-maxChars).replace(/^[\udc00-\udfff]/, "")
    : text.slice(0, maxChars).replace(/[\ud800-\udbff]$/, "");
}

/**
 * What fits of a value with more members than there is room for: of an object its shortest members, of a list its
 * first or last items, and a part of the first one that does not fit. Undefined: nothing fits.
 */
function keepWithin(name: string, value: unknown, maxBytes: number): unknown {
  if (utf8Length(JSON.stringify(value)) <= maxBytes) return value;
  const isList = Array.isArray(value);
  const members = Object.entries(isList ? value : (fieldsOf(value) ?? {}));
  let room = maxBytes - "{}".length;
  if (members.length === 0 || room < 0) return undefined;
  const kept = new Map<string, unknown>();
  for (const [key, member] of inOrder(name, members, isList)) {
    const keyBytes = isList ? ",".length : utf8Length(`${JSON.stringify(key)}:,`);
    const sizeBytes = keyBytes + utf8Length(JSON.stringify(member));
    if (sizeBytes <= room) kept.set(key, member);
    else {
      const part = keepWithin(isList ? name : nameWithin(name, key), member, room - keyBytes);
      if (part !== undefined) kept.set(key, part);
      break;
    }
    room -= sizeBytes;
  }
  const left = members.filter(([key]) => kept.has(key)).map(([key]) => [key, kept.get(key)] as const);
  return isList ? left.map(([, item]) => item) : Object.fromEntries(left);
}

/** The members in the order in which they are kept. */
function inOrder(name: string, members: [string, unknown][], isList: boolean): [string, unknown][] {
  if (isList) return KEEPS_END.test(name) ? members.toReversed() : members;
  const sized = members.map((member) => ({ member, length: JSON.stringify(member).length }));
  return sized.sort((one, other) => one.length - other.length).map(({ member }) => member);
}
