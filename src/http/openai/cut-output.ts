// An output that is made of a worker's chunks has the pieces of a cut value as strings, which look like strings of the
// worker's own. The job's log has marks on those pieces, so the output is read from the log, with its values whole.
import { ok, type Result } from "../../core/failure.ts";
import type { ValuePart } from "../../core/job/chunk-frames.ts";
import { STREAM_START, type StreamCursor } from "../../core/job/stream-cursor.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { parseJson } from "../../core/json/value.ts";
import { CHUNK_MAX_BYTES } from "../../core/limits.ts";
import { readPage, type StreamRead } from "../kit/read-stream.ts";

/**
 * The output's JSON text with each cut value whole. Null: no value in it was cut, or it is not made of the job's chunks.
 * The text has at most as many bytes as the output.
 */
export async function readWithWholeValues(read: StreamRead, output: PayloadRef): Promise<Result<string | null>> {
  if (output.kind !== "r2" || output.sizeBytes <= CHUNK_MAX_BYTES) return ok(null);
  const values = new WholeValues();
  let after: StreamCursor = STREAM_START;
  for (let isMore = true; isMore; ) {
    const page = await readPage(read, after, 0);
    if (!page.ok) return page;
    const { chunks, attempt, more } = page.value;
    isMore = more;
    for (const chunk of chunks) {
      after = chunk;
      if (chunk.attempt === attempt) values.push(chunk.bytes, chunk.part);
    }
    if (values.outputBytes > output.sizeBytes) return ok(null);
    // The chunks of lost attempts are of no use.
    if (chunks.length > 0 && after.attempt < attempt) [after, isMore] = [{ attempt, seq: 0 }, true];
  }
  // A worker's own aggregate is what it has made of its chunks, and has another size than the list of the pieces.
  return ok(values.hasCut && values.outputBytes === output.sizeBytes ? values.text() : null);
}

/** The list of the chunks' values. */
class WholeValues {
  /** The bytes of the output that is made of these chunks as they are: a list of them. */
  outputBytes = 2;
  hasCut = false;
  readonly #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  #text = "";
  #isFirst = true;
  #isInValue = false;

  push(chunk: Uint8Array, part: ValuePart | undefined): void {
    const raw = this.#decoder.decode(chunk);
    const piece = part === undefined ? undefined : parseJson(raw);
    if (!this.#isInValue && !this.#isFirst) this.#text += ",";
    this.#text += typeof piece === "string" ? piece : raw;
    this.outputBytes += chunk.length + (this.#isFirst ? 0 : 1);
    this.hasCut ||= part !== undefined;
    this.#isInValue = part === "more";
    this.#isFirst = false;
  }

  text(): string {
    return `[${this.#text}]`;
  }
}
