// Several chunks of a stream in one row: each follows its length in four bytes, because a chunk may be any JSON text. A
// chunk has far less than a gigabyte, so the two highest bits of its length have room for a mark that no worker can make.

/**
 * Marks a chunk whose string is a piece of the JSON text of a value that was too large for one chunk: `more` pieces of
 * the value follow it, or it is the `last` one. A string that was cut into shorter strings has no such mark.
 */
export type ValuePart = "more" | "last";

/** A chunk in its row. */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly part?: ValuePart;
}

const LENGTH_BYTES = 4;
const LENGTH_MASK = 0x3fff_ffff;
const PART_BITS = { more: 0x4000_0000, last: 0x8000_0000 } as const;

/** The bytes that chunks take in their row: never fewer than a JSON list of them would take. */
export function packedBytes(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + LENGTH_BYTES + chunk.length, 0);
}

/** `part`: the mark of each of these chunks. */
export function packChunks(chunks: readonly Uint8Array[], part?: ValuePart): Uint8Array<ArrayBuffer> {
  const packed = new Uint8Array(packedBytes(chunks));
  const view = new DataView(packed.buffer);
  const bits = part === undefined ? 0 : PART_BITS[part];
  let at = 0;
  for (const chunk of chunks) {
    view.setUint32(at, chunk.length + bits);
    packed.set(chunk, at + LENGTH_BYTES);
    at += LENGTH_BYTES + chunk.length;
  }
  return packed;
}

export function unpackChunks(packed: Uint8Array): Frame[] {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const frames: Frame[] = [];
  for (let at = 0; at < packed.length; ) {
    const word = view.getUint32(at);
    const from = at + LENGTH_BYTES;
    at = from + (word & LENGTH_MASK);
    const bytes = packed.subarray(from, at);
    if (word >= PART_BITS.last) frames.push({ bytes, part: "last" });
    else if (word >= PART_BITS.more) frames.push({ bytes, part: "more" });
    else frames.push({ bytes });
  }
  return frames;
}
