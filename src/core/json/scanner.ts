// Cuts raw values out of one JSON document that comes in chunks. The bytes are checked and passed on as they are, never
// parsed or gathered: `1.0` stays `1.0`. A sink gets views of the chunk, valid until its call returns. One change can
// be asked for: Python's json module writes NaN, Infinity and -Infinity, which are not JSON, so a client with a strict
// parser could not read an answer that contains them. They become null, as in JavaScript's own JSON.stringify.
import { concatBytes } from "../bytes/concat.ts";
import { ENVELOPE_FIELDS_MAX_BYTES } from "../limits.ts";
import { JsonGrammar, type JsonScanError } from "./grammar.ts";

export type { JsonScanError } from "./grammar.ts";

/** Receives one value: any number of views, perhaps several of one chunk, and then the end. */
interface ValueSink {
  bytes(view: Uint8Array): void;
  end(): void;
}

/** Receives the top-level fields of an object, one after the other; `begin` gives the decoded name. */
export interface FieldSink extends ValueSink {
  begin(name: string): void;
}

/** An incremental scan: `push` takes chunks in order, then `end` follows. Both return the first error, or null. */
export interface JsonScanner {
  push(chunk: Uint8Array): JsonScanError | null;
  end(): JsonScanError | null;
  /** The place behind the value, in bytes from the start of the document; null before the value has ended. */
  readonly endsAt: number | null;
  /** How many bytes of the document so far are its byte order mark; no sink gets them. */
  readonly markBytes: number;
}

interface ScanOptions {
  /** Lets NaN, Infinity and -Infinity pass as they are: Python workers send them. */
  readonly lenientNumbers?: boolean;
  /** Replaces them by null, wherever they stand. */
  readonly makesNulls?: boolean;
}

interface ObjectScanOptions extends ScanOptions {
  readonly namesMaxBytes?: number;
  /** The field in which NaN, Infinity and -Infinity are replaced by null. */
  readonly nullsIn?: string;
}

/** Scans a document that must be an object; a name that occurs twice is an error. */
export function scanObject(sink: FieldSink, options: ObjectScanOptions = {}): JsonScanner {
  return new RangeScanner(1, options, sink, sink);
}

/** Scans a document of any kind; white space around it does not reach the sink. */
export function scanValue(sink: ValueSink, options: ScanOptions = {}): JsonScanner {
  return new RangeScanner(0, options, sink, null);
}

const NOTHING = new Uint8Array(0);
const NULL_TEXT = Uint8Array.of(0x6e, 0x75, 0x6c, 0x6c);
const MINUS_TEXT = Uint8Array.of(0x2d);
const LETTER_I = 0x49;
/** A name in an error message is for people, so a very long one is cut. */
const NAME_SHOWN_MAX_CHARS = 64;

class RangeScanner extends JsonGrammar implements JsonScanner {
  readonly #sink: ValueSink;
  readonly #fields: FieldSink | null;
  readonly #namesMaxBytes: number;
  readonly #nullsIn: string | undefined;
  readonly #names = new Set<string>();
  #namesBytes = 0;
  #nameParts: Uint8Array[] = [];
  #reading: "nothing" | "name" | "value" = "nothing";
  #makesNulls: boolean;
  /** The last chunk ended with a minus that may begin -Infinity; the next byte decides whether the sink gets it. */
  #heldMinus = false;
  #chunk: Uint8Array = NOTHING;
  #startsAt = 0;

  constructor(depth: 0 | 1, options: ObjectScanOptions, sink: ValueSink, fields: FieldSink | null) {
    super(depth, options.lenientNumbers ?? false);
    this.#sink = sink;
    this.#fields = fields;
    this.#namesMaxBytes = options.namesMaxBytes ?? ENVELOPE_FIELDS_MAX_BYTES;
    this.#nullsIn = options.nullsIn;
    this.#makesNulls = options.makesNulls ?? false;
  }

  push(chunk: Uint8Array): JsonScanError | null {
    if (this.failure !== null || chunk.length === 0) return this.failure;
    if (this.#heldMinus && chunk[0] !== LETTER_I) this.#sink.bytes(MINUS_TEXT);
    this.#chunk = chunk;
    this.#startsAt = 0;
    if (this.check(chunk) === null) {
      this.#heldMinus = this.#makesNulls && this.mayBeWord;
      this.#handOver(this.#heldMinus ? chunk.length - 1 : chunk.length);
    }
    this.#chunk = NOTHING;
    return this.failure;
  }

  end(): JsonScanError | null {
    this.#startsAt = 0;
    return this.checkEnd();
  }

  protected override keyStarts(at: number): void {
    this.#reading = "name";
    this.#startsAt = at;
  }

  protected override keyEnds(at: number): void {
    this.#handOver(at);
    this.#reading = "nothing";
    if (this.failure !== null) return;
    const name = decodeName(this.#nameParts);
    this.#nameParts = [];
    if (this.#names.has(name)) {
      const shown = JSON.stringify(name.slice(0, NAME_SHOWN_MAX_CHARS));
      this.refuse(at, "duplicate_field", `the field ${shown} stands twice,`);
    }
    this.#names.add(name);
    this.#makesNulls = name === this.#nullsIn;
    this.#fields?.begin(name);
  }

  protected override valueStarts(at: number): void {
    this.#reading = "value";
    this.#startsAt = at;
  }

  protected override valueEnds(at: number): void {
    this.#handOver(at);
    this.#reading = "nothing";
    this.#sink.end();
  }

  protected override wordStarts(at: number): void {
    if (!this.#makesNulls) return;
    this.#handOver(Math.max(at, this.#startsAt));
    this.#reading = "nothing";
  }

  protected override wordEnds(at: number): void {
    if (!this.#makesNulls) return;
    this.#sink.bytes(NULL_TEXT);
    this.#reading = "value";
    this.#startsAt = at;
  }

  /** Passes on the present name or value from where it was passed on last, up to an index of the chunk. */
  #handOver(at: number): void {
    if (this.#reading === "nothing" || at === this.#startsAt) return;
    const view = this.#chunk.subarray(this.#startsAt, at);
    if (this.#reading === "value") this.#sink.bytes(view);
    else this.#keepName(view, at);
  }

  /** Names are the only bytes held here, so they are counted before they are copied. */
  #keepName(view: Uint8Array, at: number): void {
    this.#namesBytes += view.length;
    if (this.#namesBytes > this.#namesMaxBytes)
      this.refuse(at, "fields_too_large", "the names of the fields are too long");
    else this.#nameParts.push(view.slice());
  }
}

const DECODER = new TextDecoder();

/** The text of a checked JSON string, quotes included. */
function decodeName(parts: readonly Uint8Array[]): string {
  return String(JSON.parse(DECODER.decode(concatBytes(parts))));
}
