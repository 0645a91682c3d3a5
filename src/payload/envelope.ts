// Reads a posted body: the one big field goes to memory or R2 as it comes, all other fields stay as raw JSON text.
// Whatever ends badly leaves nothing in R2 and stops the sender.
import { concatBytes } from "../core/bytes/concat.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { type FieldSink, type JsonScanError, type JsonScanner, scanObject, scanValue } from "../core/json/scanner.ts";
import { ERROR_FIELD_KEPT_CHARS } from "../core/limits.ts";
import { type Body, type BodyReader, readBody } from "./body-reader.ts";
import { PayloadSink, type SinkFailure } from "./sink.ts";

/** Null: there is none. */
export type BodySource = Body | null;

/** Why a body was refused. `read_failed`: the sender went away before the end. */
export type ReadFailure =
  | SinkFailure
  | { readonly kind: "bad_json"; readonly message: string }
  | { readonly kind: "not_object"; readonly message: string }
  | { readonly kind: "fields_too_large"; readonly maxBytes: number }
  | { readonly kind: "read_failed"; readonly message: string };

/**
 * `fields`: name → raw JSON text; `__proto__` is a name like any other. An object with the usual prototype, because RPC
 * refuses one without: look names up with `Object.hasOwn` where a client may choose them.
 */
export interface Envelope {
  readonly kind: "ok";
  readonly big: PayloadRef | null;
  readonly fields: Record<string, string>;
  readonly totalBytes: number;
  readonly sha256Hex?: string;
}

export interface ValueOptions {
  readonly bucket: R2Bucket;
  /** Where the payload goes when it is too large for memory. */
  readonly key: string;
  /** Bounds all bytes of the body, white space included. */
  readonly maxBytes: number;
  /** See SinkOptions. */
  readonly retryStorage?: (failures: number) => Promise<boolean>;
  /** See SinkOptions. */
  readonly tap?: (view: Uint8Array) => void;
}

export interface EnvelopeOptions extends ValueOptions {
  readonly bigField: "input" | "output";
  /** Bounds names and values of all other fields together. */
  readonly fieldsMaxBytes: number;
  /** A field whose text is cut instead of refused when it is long: a traceback must not cost a finished job. */
  readonly cutField?: string;
  /** Lets NaN and Infinity pass, as null in the payload: Python workers send them. */
  readonly lenientNumbers?: boolean;
  /** Asks for the SHA-256 of the raw body. */
  readonly hash?: boolean;
}

/** Reads a body that must be a JSON object. */
export async function readEnvelope(stream: BodySource, options: EnvelopeOptions): Promise<Envelope | ReadFailure> {
  const intake = new FieldIntake(options);
  const lenientNumbers = options.lenientNumbers ?? false;
  const scan = scanObject(intake, { lenientNumbers, namesMaxBytes: options.fieldsMaxBytes, nullsIn: options.bigField });
  const digest = options.hash === true ? new BodyDigest() : null;
  const read = await pump(stream, options, intake, scan, digest);
  if (read.kind !== "ok") {
    await digest?.abort();
    return read;
  }
  const big = intake.hasBig ? read.payload : null;
  const fields = Object.fromEntries(intake.fields);
  const envelope = { kind: "ok", big, fields, totalBytes: read.totalBytes } as const;
  return digest === null ? envelope : { ...envelope, sha256Hex: await digest.finishHex() };
}

/** Reads a body that as a whole is one JSON value. */
export async function readValue(
  stream: BodySource,
  options: ValueOptions,
): Promise<{ readonly kind: "ok"; readonly payload: PayloadRef; readonly totalBytes: number } | ReadFailure> {
  const intake = new ValueIntake();
  return await pump(stream, options, intake, scanValue(intake), null);
}

/** Takes what the scanner cuts out of one chunk. */
interface Intake {
  /** The payload's bytes in the chunk just scanned; taken before the next chunk is read. */
  payloadViews: Uint8Array[];
  /** Set when the fields beside the payload outgrew their bound. */
  readonly fieldsOverflow: number | null;
}

class ValueIntake implements Intake {
  payloadViews: Uint8Array[] = [];
  readonly fieldsOverflow = null;

  bytes(view: Uint8Array): void {
    this.payloadViews.push(view);
  }

  end(): void {}
}

class FieldIntake implements Intake, FieldSink {
  payloadViews: Uint8Array[] = [];
  fieldsOverflow: number | null = null;
  hasBig = false;
  readonly fields = new Map<string, string>();

  readonly #bigField: string;
  readonly #fieldsMaxBytes: number;
  readonly #cutField: string | null;
  #fieldsBytes = 0;
  #name = "";
  #text = "";
  /** One for each field that has a text; most bodies have none beside their payload. */
  #decoder: TextDecoder | null = null;

  constructor(options: EnvelopeOptions) {
    this.#bigField = options.bigField;
    this.#fieldsMaxBytes = options.fieldsMaxBytes;
    this.#cutField = options.cutField ?? null;
  }

  begin(name: string): void {
    this.#name = name;
    this.#text = "";
    this.#decoder = null;
    if (name === this.#bigField) this.hasBig = true;
    else this.#count(new TextEncoder().encode(name).length);
  }

  bytes(view: Uint8Array): void {
    if (this.#name === this.#bigField) {
      this.payloadViews.push(view);
      return;
    }
    if (this.#name === this.#cutField) {
      if (this.#text.length < ERROR_FIELD_KEPT_CHARS) this.#text += this.#decode(view);
      this.#text = this.#text.slice(0, ERROR_FIELD_KEPT_CHARS);
      return;
    }
    this.#count(view.length);
    if (this.fieldsOverflow === null) this.#text += this.#decode(view);
  }

  end(): void {
    if (this.#name !== this.#bigField) this.fields.set(this.#name, this.#text);
  }

  #decode(view: Uint8Array): string {
    this.#decoder ??= new TextDecoder();
    return this.#decoder.decode(view, { stream: true });
  }

  #count(bytes: number): void {
    this.#fieldsBytes += bytes;
    if (this.#fieldsBytes > this.#fieldsMaxBytes) this.fieldsOverflow = this.#fieldsMaxBytes;
  }
}

type Pumped = { readonly kind: "ok"; readonly payload: PayloadRef; readonly totalBytes: number } | ReadFailure;

/** Reads, scans and stores until the end or the first failure, which stops the sender and drops the payload. */
async function pump(
  stream: BodySource,
  options: ValueOptions,
  intake: Intake,
  scan: JsonScanner,
  digest: BodyDigest | null,
): Promise<Pumped> {
  if (stream === null) return { kind: "bad_json", message: "the body is empty" };
  const reader = readBody(stream);
  const sink = new PayloadSink(options);
  const read = await drain(reader, sink, options, intake, scan, digest);
  if (read.kind === "ok") return read;
  reader.cancel();
  await sink.abort();
  return read;
}

async function drain(
  reader: BodyReader,
  sink: PayloadSink,
  options: ValueOptions,
  intake: Intake,
  scan: JsonScanner,
  digest: BodyDigest | null,
): Promise<Pumped> {
  let totalBytes = 0;
  for (;;) {
    const chunk = await nextChunk(reader);
    if (chunk === null) break;
    if (!(chunk instanceof Uint8Array)) return chunk;
    totalBytes += chunk.length;
    if (totalBytes > options.maxBytes) return { kind: "too_large", maxBytes: options.maxBytes };
    await digest?.write(chunk);
    const error = scan.push(chunk);
    if (error !== null) return refusal(error, options);
    if (intake.fieldsOverflow !== null) return { kind: "fields_too_large", maxBytes: intake.fieldsOverflow };
    const [view, ...more] = intake.payloadViews;
    intake.payloadViews = [];
    const failure =
      view === undefined ? null : await sink.write(more.length === 0 ? view : concatBytes([view, ...more]));
    if (failure !== null) return failure;
  }
  if (totalBytes === 0) return { kind: "bad_json", message: "the body is empty" };
  const error = scan.end();
  if (error !== null) return refusal(error, options);
  const payload = await sink.finish();
  return payload.kind === "inline" || payload.kind === "r2" ? { kind: "ok", payload, totalBytes } : payload;
}

async function nextChunk(reader: BodyReader): Promise<Uint8Array | ReadFailure | null> {
  try {
    return await reader.next();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: "read_failed", message: `the body ended early: ${reason}` };
  }
}

function refusal(error: JsonScanError, options: ValueOptions & { readonly fieldsMaxBytes?: number }): ReadFailure {
  if (error.code === "not_object") return { kind: "not_object", message: error.message };
  if (error.code !== "fields_too_large") return { kind: "bad_json", message: error.message };
  return { kind: "fields_too_large", maxBytes: options.fieldsMaxBytes ?? 0 };
}

/** SHA-256 as the bytes go by: the body is never held as a whole. */
class BodyDigest {
  readonly #stream = new crypto.DigestStream("SHA-256");
  readonly #writer = this.#stream.getWriter();

  async write(chunk: Uint8Array): Promise<void> {
    await this.#writer.write(chunk);
  }

  async finishHex(): Promise<string> {
    await this.#writer.close();
    return new Uint8Array(await this.#stream.digest).toHex();
  }

  async abort(): Promise<void> {
    // An aborted digest rejects; nobody asks for it any more.
    this.#stream.digest.catch(() => undefined);
    await this.#writer.abort().catch(() => undefined);
  }
}
