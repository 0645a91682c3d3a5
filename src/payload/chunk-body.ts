// Reads the body of one streamed chunk, `{"output": …}`, as raw bytes. A chunk that is too large for the log is cut as
// it comes, so that little of it is held.
import { messageOf } from "../core/failure.ts";
import { ChunkCutter } from "../core/job/chunk-cutter.ts";
import type { Frame } from "../core/job/chunk-frames.ts";
import { scanObject } from "../core/json/scanner.ts";
import { CHUNK_MAX_BYTES, RESULT_MAX_BYTES } from "../core/limits.ts";
import { readBody } from "./body-reader.ts";
import type { BodySource } from "./store-body.ts";

/** Why a chunk was not read to its end. `stopped`: `give` has returned this. */
type Unread<Stop> =
  | { readonly kind: "too_large" }
  | { readonly kind: "invalid"; readonly message: string }
  | { readonly kind: "stopped"; readonly why: Stop };

/** `last`: the whole chunk, or what is left after the pieces that were given away; null when the body has no output. */
type ChunkBody<Stop> = { readonly kind: "ok"; readonly last: Frame | null } | Unread<Stop>;

/** Takes a piece of a chunk. What it returns beside null ends the reading. */
type Give<Stop> = (piece: Frame) => Promise<Stop | null>;

/**
 * `give` is called for each piece of a large chunk but the last, before it is known whether the body is valid. The body
 * has at most the size of a result. NaN and Infinity become null, as in results.
 */
export async function readChunkBody<Stop>(stream: BodySource, give: Give<Stop>): Promise<ChunkBody<Stop>> {
  if (stream === null) return { kind: "invalid", message: "the body is empty" };
  const reader = readBody(stream);
  const output = new OutputPieces(give);
  for (let sizeBytes = 0; ; ) {
    const bytes = await reader.next().catch(endedEarly);
    if (bytes === null) return output.end();
    if (!(bytes instanceof Uint8Array)) return bytes;
    sizeBytes += bytes.length;
    const unread = sizeBytes > RESULT_MAX_BYTES ? ({ kind: "too_large" } as const) : await output.take(bytes);
    if (unread === null) continue;
    reader.cancel();
    return unread;
  }
}

function endedEarly(error: unknown): Unread<never> {
  return { kind: "invalid", message: `the body ended early: ${messageOf(error)}` };
}

class OutputPieces<Stop> {
  readonly #give: Give<Stop>;
  readonly #cutter = new ChunkCutter(CHUNK_MAX_BYTES);
  readonly #views: Uint8Array[] = [];
  #hasOutput = false;
  #isOutput = false;
  readonly #scan = scanObject(
    {
      begin: (name) => {
        this.#isOutput = name === "output";
        this.#hasOutput ||= this.#isOutput;
      },
      bytes: (view) => {
        if (this.#isOutput) this.#views.push(view);
      },
      end: () => undefined,
    },
    { lenientNumbers: true, nullsIn: "output" },
  );

  constructor(give: Give<Stop>) {
    this.#give = give;
  }

  /** Null: go on. The bytes may change once the promise is done. */
  async take(bytes: Uint8Array): Promise<Unread<Stop> | null> {
    const error = this.#scan.push(bytes);
    if (error !== null) return { kind: "invalid", message: error.message };
    for (const view of this.#views.splice(0)) {
      for (const piece of this.#cutter.push(view)) {
        const why = await this.#give(piece);
        if (why !== null) return { kind: "stopped", why };
      }
    }
    return null;
  }

  end(): ChunkBody<Stop> {
    const error = this.#scan.end();
    if (error !== null) return { kind: "invalid", message: error.message };
    return { kind: "ok", last: this.#hasOutput ? this.#cutter.end() : null };
  }
}
