// Takes a posted body to its end, piece by piece, and stores the part of it that is to be kept. A read that fails
// leaves nothing in R2 and stops the sender.
import type { PayloadRef } from "../core/json/payload-ref.ts";
import type { JsonScanError, JsonScanner } from "../core/json/scanner.ts";
import { type Body, type BodyReader, readBody } from "./body-reader.ts";
import { PayloadSink, type SinkFailure, type SinkOptions } from "./sink.ts";

/** Null: the request has no body. */
export type BodySource = Body | null;

/** Why a body was refused. `read_failed`: the sender went away before the end. */
export type ReadFailure =
  | SinkFailure
  | { readonly kind: "bad_json"; readonly message: string }
  | { readonly kind: "not_object"; readonly message: string }
  | { readonly kind: "fields_too_large"; readonly maxBytes: number }
  | { readonly kind: "read_failed"; readonly message: string };

/** Where and how a payload is stored when it is too large for memory. */
export interface ValueOptions extends SinkOptions {
  /** Bounds all bytes of the body, white space included. */
  readonly maxBytes: number;
}

/** Decides what is stored of a body, piece by piece. Views are valid until the next piece is taken. */
export interface Intake {
  /** Returns the bytes of a piece that are to be stored, or the reason why no more is read. */
  take(piece: Uint8Array): Uint8Array | ReadFailure | Promise<Uint8Array | ReadFailure>;
  /** Called at the end of the body. Returns the bytes to store behind all others, or why the body is refused. */
  finish(totalBytes: number): Uint8Array | ReadFailure;
}

/** `totalBytes`: the size of the body, of which less may be stored. */
export interface StoredBody {
  readonly kind: "ok";
  readonly payload: PayloadRef;
  readonly totalBytes: number;
}

/** The refusal of an empty body where one is required. */
const EMPTY_BODY: ReadFailure = { kind: "bad_json", message: "the body is empty" };

/** Reads a body and stores the bytes that `intake` returns, at most `storedMaxBytes` of them. */
export async function storeBody(
  stream: BodySource,
  options: ValueOptions,
  intake: Intake,
  storedMaxBytes = options.maxBytes,
): Promise<StoredBody | ReadFailure> {
  if (stream === null) return EMPTY_BODY;
  const reader = readBody(stream);
  const sink = new PayloadSink({ ...options, maxBytes: storedMaxBytes });
  const stored = await drain(reader, sink, options.maxBytes, intake);
  if (stored.kind === "ok") return stored;
  reader.cancel();
  await sink.abort();
  return stored;
}

async function drain(
  reader: BodyReader,
  sink: PayloadSink,
  maxBytes: number,
  intake: Intake,
): Promise<StoredBody | ReadFailure> {
  let totalBytes = 0;
  for (let isOver = false; !isOver; ) {
    const piece = await reader.next().catch(endedEarly);
    if (piece !== null && !(piece instanceof Uint8Array)) return piece;
    totalBytes += piece?.length ?? 0;
    if (totalBytes > maxBytes) return { kind: "too_large", maxBytes };
    const kept = piece === null ? intake.finish(totalBytes) : await intake.take(piece);
    if (!(kept instanceof Uint8Array)) return kept;
    const failure = kept.length === 0 ? null : await sink.write(kept);
    if (failure !== null) return failure;
    isOver = piece === null;
  }
  const payload = await sink.finish();
  return payload.kind === "inline" || payload.kind === "r2" ? { kind: "ok", payload, totalBytes } : payload;
}

function endedEarly(error: unknown): ReadFailure {
  const reason = error instanceof Error ? error.message : String(error);
  return { kind: "read_failed", message: `the body ended early: ${reason}` };
}

/** The intake of a body that must be JSON: `intake` is called for what the scanner has accepted. */
export function jsonIntake(scan: JsonScanner, intake: Intake, fieldsMaxBytes = 0): Intake {
  return {
    take: (piece) => {
      const error = scan.push(piece);
      return error === null ? intake.take(piece) : jsonFailure(error, fieldsMaxBytes);
    },
    finish: (totalBytes) => {
      if (totalBytes === 0) return EMPTY_BODY;
      const error = scan.end();
      return error === null ? intake.finish(totalBytes) : jsonFailure(error, fieldsMaxBytes);
    },
  };
}

/** The refusal of a body in which the scanner found an error. `fieldsMaxBytes`: the bound of its fields. */
function jsonFailure({ code, message }: JsonScanError, fieldsMaxBytes: number): ReadFailure {
  if (code === "not_object") return { kind: "not_object", message };
  return code === "fields_too_large" ? { kind: code, maxBytes: fieldsMaxBytes } : { kind: "bad_json", message };
}
