// Reads a posted body: the one big field goes to memory or R2 as it comes, all other fields stay as raw JSON text. A
// read that fails leaves nothing in R2 and stops the sender.
import { concatBytes } from "../core/bytes/concat.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { type FieldSink, scanObject, scanValue } from "../core/json/scanner.ts";
import { ERROR_FIELD_KEPT_CHARS } from "../core/limits.ts";
import {
  type BodySource,
  jsonIntake,
  type ReadFailure,
  type StoredBody,
  storeBody,
  type ValueOptions,
} from "./store-body.ts";

export type { BodySource, ReadFailure, ValueOptions } from "./store-body.ts";

/**
 * `fields`: name → raw JSON text; `__proto__` is a name like any other. The object has the usual prototype, because RPC
 * refuses one without: look names up with `Object.hasOwn` where a client may choose them.
 */
export interface Envelope {
  readonly kind: "ok";
  readonly big: PayloadRef | null;
  readonly fields: Record<string, string>;
  readonly totalBytes: number;
  readonly sha256Hex?: string;
}

export interface EnvelopeOptions extends ValueOptions {
  readonly bigField: "input" | "output";
  /** Bounds names and values of all other fields together. */
  readonly fieldsMaxBytes: number;
  /** A field whose text is cut, not refused, when it is too long: a long traceback must not cost a finished job. */
  readonly cutField?: string;
  /** Accepts NaN and Infinity, as null in the payload, because Python workers send them. */
  readonly lenientNumbers?: boolean;
  /** Bounds the big field alone; it must be at least what stays in memory. */
  readonly bigMaxBytes?: number;
  /** Asks for the SHA-256 of the raw body. */
  readonly hash?: boolean;
}

/** Reads a body that must be a JSON object. */
export async function readEnvelope(stream: BodySource, options: EnvelopeOptions): Promise<Envelope | ReadFailure> {
  const { bigField, fieldsMaxBytes, lenientNumbers = false } = options;
  const intake = new FieldIntake(options);
  const scan = scanObject(intake, { lenientNumbers, namesMaxBytes: fieldsMaxBytes, nullsIn: bigField });
  const { take, finish } = jsonIntake(scan, intake, fieldsMaxBytes);
  const digest = options.hash === true ? new BodyDigest() : null;
  const takeHashed = async (piece: Uint8Array): Promise<Uint8Array | ReadFailure> => {
    await digest?.write(piece);
    return take(piece);
  };
  const read = await storeBody(stream, options, { take: takeHashed, finish }, options.bigMaxBytes);
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
export async function readValue(stream: BodySource, options: ValueOptions): Promise<StoredBody | ReadFailure> {
  const intake = new ValueIntake();
  return await storeBody(stream, options, jsonIntake(scanValue(intake), intake));
}

const NOTHING = new Uint8Array(0);

/** Collects the parts of one piece that the scanner assigns to the payload. */
class ValueIntake {
  #views: Uint8Array[] = [];

  bytes(view: Uint8Array): void {
    this.#views.push(view);
  }

  end(): void {}

  take(): Uint8Array | ReadFailure {
    const [view = NOTHING, ...more] = this.#views;
    this.#views = [];
    return more.length === 0 ? view : concatBytes([view, ...more]);
  }

  finish(): Uint8Array {
    return NOTHING;
  }
}

class FieldIntake extends ValueIntake implements FieldSink {
  hasBig = false;
  readonly fields = new Map<string, string>();

  readonly #bigField: string;
  readonly #fieldsMaxBytes: number;
  readonly #cutField: string | null;
  #fieldsBytes = 0;
  #name = "";
  #text = "";
  /** A new decoder for each field that has a text; most bodies have no field beside their payload. */
  #decoder: TextDecoder | null = null;

  constructor(options: EnvelopeOptions) {
    super();
    this.#bigField = options.bigField;
    this.#fieldsMaxBytes = options.fieldsMaxBytes;
    this.#cutField = options.cutField ?? null;
  }

  begin(name: string): void {
    this.#name = name;
    this.#text = "";
    this.#decoder = null;
    if (name === this.#bigField) this.hasBig = true;
    else this.#fieldsBytes += new TextEncoder().encode(name).length;
  }

  override bytes(view: Uint8Array): void {
    if (this.#name === this.#bigField) {
      super.bytes(view);
      return;
    }
    if (this.#name === this.#cutField) {
      if (this.#text.length < ERROR_FIELD_KEPT_CHARS) this.#text += this.#decode(view);
      this.#text = this.#text.slice(0, ERROR_FIELD_KEPT_CHARS);
      return;
    }
    this.#fieldsBytes += view.length;
    if (this.#fieldsBytes <= this.#fieldsMaxBytes) this.#text += this.#decode(view);
  }

  override end(): void {
    if (this.#name !== this.#bigField) this.fields.set(this.#name, this.#text);
  }

  override take(): Uint8Array | ReadFailure {
    const isFull = this.#fieldsBytes > this.#fieldsMaxBytes;
    return isFull ? { kind: "fields_too_large", maxBytes: this.#fieldsMaxBytes } : super.take();
  }

  #decode(view: Uint8Array): string {
    this.#decoder ??= new TextDecoder();
    return this.#decoder.decode(view, { stream: true });
  }
}

/** Computes the SHA-256 while the bytes go by, because the body is never held as a whole. */
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
    // An aborted digest rejects, and nothing reads it any more.
    this.#stream.digest.catch(() => undefined);
    await this.#writer.abort().catch(() => undefined);
  }
}
