// Reads the body of one streamed chunk, `{"output": …}`, which is small enough to be held whole, as raw bytes.
import { concatBytes } from "../core/bytes/concat.ts";
import { scanObject } from "../core/json/scanner.ts";
import { readBody } from "./body-reader.ts";
import type { BodySource } from "./store-body.ts";

/** `chunk` is null when the body has no output. */
type ChunkBody =
  | { readonly kind: "ok"; readonly chunk: Uint8Array | null }
  | { readonly kind: "too_large" }
  | { readonly kind: "invalid"; readonly message: string };

/** The whole body may have at most `maxBytes`. NaN and Infinity become null, as in results. */
export async function readChunkBody(stream: BodySource, maxBytes: number): Promise<ChunkBody> {
  if (stream === null) return { kind: "invalid", message: "the body is empty" };
  const output: Uint8Array[] = [];
  let hasOutput = false;
  let field = "";
  const begin = (name: string): void => {
    field = name;
    hasOutput ||= name === "output";
  };
  const bytes = (view: Uint8Array): void => {
    // The view is valid only during this call.
    if (field === "output") output.push(view.slice());
  };
  const sink = { begin, bytes, end: () => undefined };
  const scan = scanObject(sink, { lenientNumbers: true, nullsIn: "output" });
  const reader = readBody(stream);
  let sizeBytes = 0;
  try {
    for (let piece = await reader.next(); piece !== null; piece = await reader.next()) {
      sizeBytes += piece.length;
      const error = sizeBytes > maxBytes ? null : scan.push(piece);
      if (sizeBytes > maxBytes || error !== null) reader.cancel();
      if (sizeBytes > maxBytes) return { kind: "too_large" };
      if (error !== null) return { kind: "invalid", message: error.message };
    }
  } catch (error) {
    return { kind: "invalid", message: `the body ended early: ${error instanceof Error ? error.message : error}` };
  }
  const error = scan.end();
  if (error !== null) return { kind: "invalid", message: error.message };
  return { kind: "ok", chunk: hasOutput ? concatBytes(output) : null };
}
