// Reads a whole posted JSON object as raw bytes, and notes a few small fields of its top level on the way. Once these
// are known the caller may add a member at the end of the object. A large object goes to R2 as it comes.
import { concatBytes } from "../core/bytes/concat.ts";
import { scanObject } from "../core/json/scanner.ts";
import { ENVELOPE_FIELDS_MAX_BYTES, PAYLOAD_ROW_MAX_BYTES } from "../core/limits.ts";
import { foldName } from "../core/openai/stored-responses.ts";
import {
  type BodySource,
  type Intake,
  jsonIntake,
  type ReadFailure,
  type StoredBody,
  storeBody,
  type ValueOptions,
} from "./store-body.ts";

/** `noted`: name → raw JSON text, cut at NOTED_MAX_BYTES. */
type ObjectBody = (StoredBody & { readonly noted: ReadonlyMap<string, string> }) | ReadFailure;

interface ObjectOptions extends ValueOptions {
  /** The fields to note, in lower case; a field matches whatever the case of its own name is. */
  readonly names: ReadonlySet<string>;
  /** Returns the text before the closing brace: nothing, or a member, after a comma if the object is not empty. */
  readonly atEnd: (noted: ReadonlyMap<string, string>, isEmpty: boolean) => string;
}

/** The noted fields are flags and names; a longer value is none that a caller looks for. */
const NOTED_MAX_BYTES = 1_024;

/** Reads the body. After a failure nothing is left in R2. */
export async function readObject(stream: BodySource, options: ObjectOptions): Promise<ObjectBody> {
  const notes = new Notes(options.names);
  const scan = scanObject(notes, { namesMaxBytes: ENVELOPE_FIELDS_MAX_BYTES });
  let startsAt = 0;
  const take = (piece: Uint8Array): Uint8Array => {
    // The byte order mark is dropped: not every server reads JSON behind one.
    const behindMark = Math.max(0, scan.markBytes - startsAt);
    // The brace that ends the object is held back, and the white space behind it is dropped.
    const beforeBrace = (scan.endsAt ?? Infinity) - 1 - startsAt;
    startsAt += piece.length;
    return piece.subarray(behindMark, Math.max(behindMark, beforeBrace));
  };
  const finish = (): Uint8Array => encode(`${options.atEnd(notes.noted, notes.isEmpty)}}`);
  const intake = jsonIntake(scan, { take, finish }, ENVELOPE_FIELDS_MAX_BYTES);
  const isWhole = stream instanceof Uint8Array && stream.length <= PAYLOAD_ROW_MAX_BYTES;
  const read = isWhole ? await readWhole(stream, options, intake) : await storeBody(stream, options, intake);
  return read.kind === "ok" ? { ...read, noted: notes.noted } : read;
}

/** Reads a body in memory that stays there: without a stream and a sink a usual request takes half of the time. */
async function readWhole(
  bytes: Uint8Array,
  { maxBytes, tap }: ValueOptions,
  { take, finish }: Intake,
): Promise<StoredBody | ReadFailure> {
  if (bytes.length > maxBytes) return { kind: "too_large", maxBytes };
  const start = await take(bytes);
  if (!(start instanceof Uint8Array)) return start;
  const end = finish(bytes.length);
  if (!(end instanceof Uint8Array)) return end;
  const whole = concatBytes([start, end]);
  tap?.(whole);
  return { kind: "ok", payload: { kind: "inline", bytes: whole }, totalBytes: bytes.length };
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const DECODER = new TextDecoder();

class Notes {
  readonly noted = new Map<string, string>();
  isEmpty = true;
  readonly #names: ReadonlySet<string>;
  #name: string | null = null;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(names: ReadonlySet<string>) {
    this.#names = names;
  }

  begin(name: string): void {
    this.isEmpty = false;
    this.#name = this.#names.has(foldName(name)) ? name : null;
    this.#pieces = [];
    this.#bytes = 0;
  }

  bytes(view: Uint8Array): void {
    if (this.#name === null || this.#bytes >= NOTED_MAX_BYTES) return;
    this.#pieces.push(view.slice(0, NOTED_MAX_BYTES - this.#bytes));
    this.#bytes += view.length;
  }

  end(): void {
    if (this.#name !== null) this.noted.set(this.#name, DECODER.decode(concatBytes(this.#pieces)));
  }
}
