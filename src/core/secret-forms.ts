// Finds secrets in what somebody else says, and puts asterisks in their place: one for each byte, so that lengths that were told
// beforehand stay true. A secret is looked for as it is, and in the forms that it takes on its way: in JSON, in a URL, and
// within anything in base64.
import { concatBytes } from "./bytes.ts";
import { SECRET_MIN_CHARS } from "./limits.ts";

interface Needle {
  readonly text: string;
  readonly bytes: Uint8Array;
  /** How far to go on when the byte under the needle's end is this one (Horspool): most bytes are never looked at. */
  readonly skip: Uint16Array;
}

const ASTERISK = 0x2a;
const NOTHING = new Uint8Array(0);

export class SecretForms {
  /** The longest first: one within another must not leave the rest of it standing. */
  readonly #needles: readonly Needle[];

  /** What is shorter than SECRET_MIN_CHARS is left out: it would be found in words that are none. */
  constructor(secrets: readonly string[]) {
    const forms = new Set(secrets.flatMap(partsOf).flatMap(formsOf));
    this.#needles = [...forms]
      .filter((form) => form.length >= SECRET_MIN_CHARS)
      .map(toNeedle)
      .sort((one, other) => other.bytes.length - one.bytes.length);
  }

  get isEmpty(): boolean {
    return this.#needles.length === 0;
  }

  blankText(text: string): string {
    let shown = text;
    for (const needle of this.#needles) {
      if (shown.includes(needle.text)) shown = shown.replaceAll(needle.text, "*".repeat(needle.text.length));
    }
    return shown;
  }

  /** The bytes themselves where there is no secret in them, else a copy. `until`: only what begins before it. */
  blankBytes(bytes: Uint8Array, until = bytes.length): Uint8Array {
    let shown = bytes;
    for (const needle of this.#needles) {
      for (let at = find(bytes, needle, 0); at !== -1 && at < until; at = find(bytes, needle, at + 1)) {
        if (shown === bytes) shown = bytes.slice();
        shown.fill(ASTERISK, at, at + needle.bytes.length);
      }
    }
    return shown;
  }

  /** Where the end of the bytes begins that may be the first part of a secret; their length: nowhere. */
  beginningIn(bytes: Uint8Array): number {
    let earliest = bytes.length;
    for (const needle of this.#needles) {
      const from = Math.max(0, bytes.length - needle.bytes.length + 1);
      for (let at = from; at < earliest; at += 1) if (endsAsBeginning(bytes, at, needle.bytes)) earliest = at;
    }
    return earliest;
  }
}

/** The same for bytes that come in pieces: what may be the beginning of a secret waits for the next piece, and nothing else. */
export class SecretBlanker {
  readonly #forms: SecretForms;
  #held: Uint8Array = NOTHING;

  constructor(forms: SecretForms) {
    this.#forms = forms;
  }

  /** The piece is not changed; what comes back may be a view of it. */
  push(piece: Uint8Array): Uint8Array {
    const bytes = this.#held.length === 0 ? piece : concatBytes([this.#held, piece]);
    const end = this.#forms.beginningIn(bytes);
    const shown = this.#forms.blankBytes(bytes, end);
    this.#held = end === bytes.length ? NOTHING : shown.slice(end);
    return shown.subarray(0, end);
  }

  /** What was held back, once nothing follows it. */
  end(): Uint8Array {
    const rest = this.#forms.blankBytes(this.#held);
    this.#held = NOTHING;
    return rest;
  }
}

/** Of a credential with its scheme before it, `Bearer x`, an upstream may repeat the second part alone. */
function partsOf(secret: string): string[] {
  return [secret, ...secret.split(/\s+/)];
}

function formsOf(secret: string): string[] {
  const inJson = JSON.stringify(secret).slice(1, -1);
  return [
    secret,
    inJson,
    inJson.replaceAll("/", "\\/"),
    ...escapedJson(inJson),
    ...urlForms(secret),
    ...inBase64(secret),
  ];
}

/** As the JSON writers of .NET (`+` too) and Go (`&`, `<`, `>`) escape what a page of HTML would take otherwise. */
function escapedJson(inJson: string): string[] {
  return [/[+&<>'`]/g, /[&<>]/g].flatMap((odd) => {
    const upper = inJson.replace(odd, (char) => `\\u00${char.charCodeAt(0).toString(16).toUpperCase()}`);
    return [upper, upper.replace(/\\u00../g, (code) => code.toLowerCase())];
  });
}

/** Both cases of the escapes, and Python's `quote`, which leaves slashes. */
function urlForms(secret: string): string[] {
  return [inUrl(secret), inUrl(secret).replaceAll("%2F", "/")].flatMap((form) => [
    form,
    form.replace(/%../g, (code) => code.toLowerCase()),
  ]);
}

function inUrl(secret: string): string {
  // A lone surrogate has no form in a URL.
  return secret.isWellFormed() ? encodeURIComponent(secret) : secret;
}

/**
 * The characters that the secret alone decides, for each of the three places that it can have in a group of three bytes: so it
 * is found within `user:secret` or `Bearer secret`, too.
 */
function inBase64(secret: string): string[] {
  const bytes = new TextEncoder().encode(secret);
  return [0, 1, 2].flatMap((before) => {
    const text = btoa(String.fromCharCode(...new Uint8Array(before), ...bytes));
    const sure = text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
    return [sure, sure.replaceAll("+", "-").replaceAll("/", "_")];
  });
}

function toNeedle(text: string): Needle {
  const bytes = new TextEncoder().encode(text);
  const last = bytes.length - 1;
  const skip = new Uint16Array(256).fill(bytes.length);
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

function endsAsBeginning(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  return isAt(bytes, at, wanted, bytes.length - at);
}
