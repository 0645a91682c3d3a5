// Puts bodies together from JSON text and stored payloads, byte for byte, without holding a large payload in memory.
import { concatBytes } from "../core/bytes/concat.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";

/** `ok` has the exact size of the body; `sent` of a stream: when all of it was taken, or nobody takes it. `missing`: R2 has no such object, or one of another size. */
export type SplicedBody =
  | {
      readonly kind: "ok";
      readonly body: ReadableStream<Uint8Array> | Uint8Array;
      readonly sizeBytes: number;
      readonly sent?: Promise<void>;
    }
  | SpliceFailure;

type SpliceFailure =
  | { readonly kind: "missing"; readonly key: string }
  | { readonly kind: "storage_failed"; readonly message: string };

type Piece = Uint8Array | R2ObjectBody;

const ENCODER = new TextEncoder();

/**
 * Concatenates the parts. Without R2 parts the body is one array; with them it is a stream of known length. Every R2
 * object is opened before this returns, so that a missing one is reported and does not break an answer that has begun.
 */
export async function spliceBody(parts: readonly (string | PayloadRef)[], bucket: R2Bucket): Promise<SplicedBody> {
  const payloads = parts.map(toPayload);
  const inline = payloads.filter((payload) => payload.kind === "inline");
  if (inline.length === payloads.length) {
    const body = concatBytes(inline.map(({ bytes }) => bytes));
    return { kind: "ok", body, sizeBytes: body.length };
  }
  const opened = await Promise.allSettled(payloads.map((payload) => openPart(payload, bucket)));
  const pieces: Piece[] = [];
  let problem: SpliceFailure | null = null;
  let sizeBytes = 0;
  for (const result of opened) {
    if (result.status === "rejected") problem ??= storageFailed(result.reason);
    else if ("missing" in result.value) problem = { kind: "missing", key: result.value.missing };
    else {
      pieces.push(result.value.piece);
      sizeBytes += result.value.sizeBytes;
    }
  }
  if (problem !== null) {
    await Promise.all(pieces.map(discard));
    return problem;
  }
  const { readable, writable } = new FixedLengthStream(sizeBytes);
  return { kind: "ok", body: readable, sizeBytes, sent: pour(pieces, writable) };
}

function toPayload(part: string | PayloadRef): PayloadRef {
  return typeof part === "string" ? { kind: "inline", bytes: ENCODER.encode(part) } : part;
}

async function openPart(
  part: PayloadRef,
  bucket: R2Bucket,
): Promise<{ readonly piece: Piece; readonly sizeBytes: number } | { readonly missing: string }> {
  if (part.kind === "inline") return { piece: part.bytes, sizeBytes: part.bytes.length };
  const object = await bucket.get(part.key);
  if (object === null) return { missing: part.key };
  if (object.size === part.sizeBytes) return { piece: object, sizeBytes: object.size };
  await discard(object);
  return { missing: part.key };
}

export function storageFailed(reason: unknown): SpliceFailure {
  const message = reason instanceof Error ? reason.message : String(reason);
  return { kind: "storage_failed", message: `R2 did not give the payload: ${message}` };
}

/** Writes one piece after the other as the reader takes them. If the reader leaves or R2 fails, all are ended. */
async function pour(pieces: readonly Piece[], writable: WritableStream<Uint8Array>): Promise<void> {
  let poured = 0;
  try {
    for (const piece of pieces) {
      poured++;
      if (piece instanceof Uint8Array) await writePiece(piece, writable);
      else await piece.body.pipeTo(writable, { preventClose: true });
    }
    await writable.close();
  } catch (error) {
    // The reader gets this error itself; only the pieces that were not begun are discarded here.
    await Promise.all(pieces.slice(poured).map(discard));
    await writable.abort(error).catch(() => undefined);
  }
}

async function writePiece(piece: Uint8Array, writable: WritableStream<Uint8Array>): Promise<void> {
  const writer = writable.getWriter();
  try {
    await writer.write(piece);
  } finally {
    writer.releaseLock();
  }
}

async function discard(piece: Piece): Promise<void> {
  if (!(piece instanceof Uint8Array)) await piece.body.cancel().catch(() => undefined);
}
