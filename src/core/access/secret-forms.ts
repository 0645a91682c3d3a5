// Finds secrets in answers of others, and puts asterisks in their place: one for each byte, so that lengths that were
// sent before stay true. A secret is looked for as it is, and in the forms that it may take in an answer: in JSON, in a
// URL, and within anything in base64.
import { concatBytes } from "../bytes/concat.ts";
import { SECRET_MIN_CHARS } from "../limits.ts";

interface Needle {
  readonly text: string;
  readonly bytes: Uint8Array;
  /** By the byte under the needle's end: how far to go on (Horspool's search, which looks at few bytes of a text). */
  readonly skip: Uint32Array;
}

/** A secret's range: from its first place to the one behind its last. */
interface Span {
  readonly from: number;
  readonly to: number;
}

const ASTERISK = 0x2a;
const NOTHING = new Uint8Array(0);

export class SecretForms {
  readonly #needles: readonly Needle[];

  /** Secrets shorter than SECRET_MIN_CHARS are left out: they would be found in words that are not secret. */
  constructor(secrets: readonly string[]) {
    const forms = new Set(secrets.flatMap(partsOf).flatMap(formsOf));
    this.#needles = [...forms].filter((form) => form.length >= SECRET_MIN_CHARS).map(toNeedle);
  }

  get isEmpty(): boolean {
    return this.#needles.length === 0;
  }

  blankText(text: string): string {
    return blankText(text, [this]);
  }

  /** Returns the same array if it contains no secret, else a copy. */
  blankBytes(bytes: Uint8Array): Uint8Array {
    return blankSpans(bytes, this.spansIn(bytes));
  }

  /**
   * The ranges of secrets, in order and apart. All are looked for before any is blanked: of two secrets that overlap,
   * the second one is not found any more when the first one is blanked.
   */
  spansIn(source: string | Uint8Array): Span[] {
    return joinSpans(
      this.#needles.flatMap((needle) =>
        typeof source === "string"
          ? occurrences(needle.text.length, (from) => source.indexOf(needle.text, from))
          : occurrences(needle.bytes.length, (from) => find(source, needle, from)),
      ),
    );
  }

  /** The index from which the bytes may be the first part of a secret; their length if there is none. */
  beginningIn(bytes: Uint8Array): number {
    let earliest = bytes.length;
    for (const needle of this.#needles) {
      const from = Math.max(0, bytes.length - needle.bytes.length + 1);
      for (let at = from; at < earliest; at += 1) if (isAt(bytes, at, needle.bytes, bytes.length - at)) earliest = at;
    }
    return earliest;
  }
}

/** Blanks the secrets of several SecretForms in a text; they may overlap, too. */
export function blankText(text: string, all: readonly SecretForms[]): string {
  let shown = "";
  let done = 0;
  for (const { from, to } of joinSpans(all.flatMap((forms) => forms.spansIn(text)))) {
    shown += text.slice(done, from) + "*".repeat(to - from);
    done = to;
  }
  return shown + text.slice(done);
}

/** Blanks bytes that come in pieces. Only bytes that may be the beginning of a secret wait for the next piece. */
export class SecretBlanker {
  readonly #forms: SecretForms;
  /** The waiting bytes, not blanked: a secret that begins within another one would not be found among asterisks. */
  #held: Uint8Array = NOTHING;
  /** How many of the first held bytes are the end of a secret whose beginning was already returned blanked. */
  #heldSecretBytes = 0;

  constructor(forms: SecretForms) {
    this.#forms = forms;
  }

  /** Returns the bytes that need not wait, perhaps as a view of the piece, which is not changed. */
  push(piece: Uint8Array): Uint8Array {
    const bytes = this.#held.length === 0 ? piece : concatBytes([this.#held, piece]);
    return this.#show(bytes, this.#forms.beginningIn(bytes));
  }

  /** The bytes that were held back, once no piece follows. */
  end(): Uint8Array {
    return this.#show(this.#held, this.#held.length);
  }

  #show(bytes: Uint8Array, end: number): Uint8Array {
    const begun = { from: 0, to: this.#heldSecretBytes };
    const found = this.#forms.spansIn(bytes);
    const shownLast = found.findLast(({ from }) => from < end);
    this.#held = end === bytes.length ? NOTHING : bytes.slice(end);
    this.#heldSecretBytes = Math.max(0, begun.to - end, (shownLast?.to ?? 0) - end);
    return blankSpans(bytes, [begun, ...found]).subarray(0, end);
  }
}

/** The spans in order; spans that overlap or touch become one. */
function joinSpans(spans: readonly Span[]): Span[] {
  const joined: Span[] = [];
  for (const span of spans.toSorted((one, other) => one.from - other.from)) addSpan(joined, span);
  return joined;
}

/** Adds a span behind the last one; if it begins within the last one or at its end, the two become one. */
function addSpan(spans: Span[], { from, to }: Span): void {
  const last = spans.at(-1);
  if (last === undefined || last.to < from) spans.push({ from, to });
  else spans[spans.length - 1] = { from: last.from, to: Math.max(last.to, to) };
}

/** All occurrences, also overlapping ones; they are joined at once, because a text may consist of them. */
function occurrences(length: number, findFrom: (from: number) => number): Span[] {
  const spans: Span[] = [];
  for (let at = findFrom(0); at !== -1; at = findFrom(at + 1)) addSpan(spans, { from: at, to: at + length });
  return spans;
}

/** Returns the same array if there is nothing to blank. */
function blankSpans(bytes: Uint8Array, spans: readonly Span[]): Uint8Array {
  const secret = spans.filter(({ from, to }) => from < to);
  if (secret.length === 0) return bytes;
  const shown = bytes.slice();
  for (const { from, to } of secret) shown.fill(ASTERISK, from, to);
  return shown;
}

/** The secret and its words: of a credential with a scheme, `Bearer x`, an upstream may repeat `x` alone. */
function partsOf(secret: string): string[] {
  return [secret, ...secret.split(/\s+/)];
}

function formsOf(secret: string): string[] {
  const inJson = JSON.stringify(secret).slice(1, -1);
  const slashed = inJson.replaceAll("/", "\\/");
  return [secret, inJson, slashed, ...escapedJson(inJson), ...urlForms(secret), ...inBase64(secret)];
}

/** As the JSON writers of .NET (`+`, too) and Go (`&`, `<`, `>`) escape characters with a meaning in HTML. */
function escapedJson(inJson: string): string[] {
  return [/[+&<>'`]/g, /[&<>]/g].flatMap((odd) => {
    const upper = inJson.replace(odd, (char) => `\\u00${char.charCodeAt(0).toString(16).toUpperCase()}`);
    return [upper, upper.replace(/\\u00../g, (code) => code.toLowerCase())];
  });
}

/** With escapes in upper and lower case, and as Python's `quote` writes it, which does not escape slashes. */
function urlForms(secret: string): string[] {
  return [inUrl(secret), inUrl(secret).replaceAll("%2F", "/")].flatMap((form) => [
    form,
    form.replace(/%../g, (code) => code.toLowerCase()),
  ]);
}

function inUrl(secret: string): string {
  // A lone surrogate cannot be written in a URL: encodeURIComponent would throw.
  return secret.isWellFormed() ? encodeURIComponent(secret) : secret;
}

/**
 * The characters of base64 that depend on the secret alone, for each of the three places that its first byte can have
 * in a group of three bytes: so the secret is also found within `user:secret` or `Bearer secret`.
 */
function inBase64(secret: string): string[] {
  const bytes = new TextEncoder().encode(secret);
  // Not as arguments of one call: the environment of workers is 200,000 bytes, and so many have no room on the stack.
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return [0, 1, 2].flatMap((before) => {
    const text = btoa("\0".repeat(before) + binary);
    const sure = text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
    return [sure, sure.replaceAll("+", "-").replaceAll("/", "_")];
  });
}

function toNeedle(text: string): Needle {
  const bytes = new TextEncoder().encode(text);
  const last = bytes.length - 1;
  const skip = new Uint32Array(256).fill(bytes.length);
  for (let at = 0; at < last; at += 1) skip[bytes[at] ?? 0] = last - at;
  return { text, bytes, skip };
}

function find(bytes: Uint8Array, { bytes: wanted, skip }: Needle, from: number): number {
  const last = wanted.length - 1;
  let at = from;
  while (at + last < bytes.length) {
    const under = bytes[at + last] ?? 0;
    if (under === wanted[last] && isAt(bytes, at, wanted, last)) return at;
    at += skip[under] ?? 1;
  }
  return -1;
}

function isAt(bytes: Uint8Array, at: number, wanted: Uint8Array, length: number): boolean {
  for (let index = 0; index < length; index += 1) if (bytes[at + index] !== wanted[index]) return false;
  return true;
}
