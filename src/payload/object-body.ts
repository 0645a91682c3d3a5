// Reads a posted JSON object whole, as its raw bytes, while a few small fields of its top level are noted on the way; and
// lets the caller add a member at its end once they are known. A large one goes to R2 as it comes.
import { concatBytes } from "../core/bytes/concat.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { scanObject } from "../core/json/scanner.ts";
import { ENVELOPE_FIELDS_MAX_BYTES, PAYLOAD_ROW_MAX_BYTES } from "../core/limits.ts";
import { foldName } from "../core/openai/stored-responses.ts";
import { readBody } from "./body-reader.ts";
import type { BodySource, ReadFailure, ValueOptions } from "./envelope.ts";
import { PayloadSink } from "./sink.ts";

/** `noted`: name → raw JSON text, cut at NOTED_MAX_BYTES. */
type ObjectBody =
  | { readonly kind: "ok"; readonly payload: PayloadRef; readonly noted: ReadonlyMap<string, string> }
  | ReadFailure;

interface ObjectOptions extends ValueOptions {
  /** In lower case; noted is a field whatever the case of its name. */
  readonly names: ReadonlySet<string>;
  /** The text to put before the brace that ends the object: nothing, or a comma, where it is not empty, and a member. */
  readonly atEnd: (noted: ReadonlyMap<string, string>, isEmpty: boolean) => string;
}

/** A flag or a name; what is longer is none of those that are asked for. */
const NOTED_MAX_BYTES = 1_024;

/** Reads the body. After a failure nothing is left in R2. */
export async function readObject(stream: BodySource, options: ObjectOptions): Promise<ObjectBody> {
  if (stream === null) return { kind: "bad_json", message: "the body is empty" };
  if (stream instanceof Uint8Array && stream.length <= PAYLOAD_ROW_MAX_BYTES) return readWhole(stream, options);
  const sink = new PayloadSink(options);
  const reader = readBody(stream);
  const read = await drain(reader, sink, options).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: "read_failed", message: `the body ended early: ${reason}` } as const;
  });
  if (read.kind === "ok") return read;
  reader.cancel();
  await sink.abort();
  return read;
}

/** A body that is there already and stays in memory: without stream and sink a usual request takes half of the time. */
function readWhole(bytes: Uint8Array, { names, maxBytes, atEnd, tap }: ObjectOptions): ObjectBody {
  if (bytes.length > maxBytes) return { kind: "too_large", maxBytes };
  if (bytes.length === 0) return { kind: "bad_json", message: "the body is empty" };
  const notes = new Notes(names);
  const scan = scanObject(notes, { namesMaxBytes: ENVELOPE_FIELDS_MAX_BYTES });
  const error = scan.push(bytes) ?? scan.end();
  if (error !== null) return toFailure(error);
  const added = atEnd(notes.noted, notes.isEmpty);
  const end = scan.endsAt ?? bytes.length;
  const whole = added === "" ? bytes.subarray(0, end) : concatBytes([bytes.subarray(0, end - 1), encode(`${added}}`)]);
  tap?.(whole);
  return { kind: "ok", payload: { kind: "inline", bytes: whole }, noted: notes.noted };
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

async function drain(
  reader: ReturnType<typeof readBody>,
  sink: PayloadSink,
  { names, maxBytes, atEnd }: ObjectOptions,
): Promise<ObjectBody> {
  const notes = new Notes(names);
  const scan = scanObject(notes, { namesMaxBytes: ENVELOPE_FIELDS_MAX_BYTES });
  let totalBytes = 0;
  for (let chunk = await reader.next(); chunk !== null; chunk = await reader.next()) {
    const startsAt = totalBytes;
    totalBytes += chunk.length;
    if (totalBytes > maxBytes) return { kind: "too_large", maxBytes };
    const error = scan.push(chunk);
    if (error !== null) return toFailure(error);
    // The brace that ends the object is held back, and the white space behind it is dropped.
    const beforeBrace = (scan.endsAt ?? Infinity) - 1 - startsAt;
    const failure = await sink.write(chunk.subarray(0, Math.max(0, beforeBrace)));
    if (failure !== null) return failure;
  }
  if (totalBytes === 0) return { kind: "bad_json", message: "the body is empty" };
  const error = scan.end();
  if (error !== null) return toFailure(error);
  const failure = await sink.write(encode(`${atEnd(notes.noted, notes.isEmpty)}}`));
  const payload = failure ?? (await sink.finish());
  return payload.kind === "inline" || payload.kind === "r2" ? { kind: "ok", payload, noted: notes.noted } : payload;
}

function toFailure({ code, message }: { readonly code: string; readonly message: string }): ReadFailure {
  if (code === "not_object") return { kind: "not_object", message };
  if (code === "fields_too_large") return { kind: "fields_too_large", maxBytes: ENVELOPE_FIELDS_MAX_BYTES };
  return { kind: "bad_json", message };
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
