// Several chunks of a stream in one row: each follows its length in four bytes, because a chunk may be any JSON text.

const LENGTH_BYTES = 4;

/** The bytes that chunks take in their row: never fewer than a JSON list of them would take. */
export function packedBytes(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + LENGTH_BYTES + chunk.length, 0);
}

export function packChunks(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const packed = new Uint8Array(packedBytes(chunks));
  const view = new DataView(packed.buffer);
  let at = 0;
  for (const chunk of chunks) {
    view.setUint32(at, chunk.length);
    packed.set(chunk, at + LENGTH_BYTES);
    at += LENGTH_BYTES + chunk.length;
  }
  return packed;
}

export function unpackChunks(packed: Uint8Array): Uint8Array[] {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < packed.length; ) {
    const from = at + LENGTH_BYTES;
    at = from + view.getUint32(at);
    chunks.push(packed.subarray(from, at));
  }
  return chunks;
}
