// The pieces in which a body is read, and what is held for a sender that has sent little.
import { describe, expect, it } from "vitest";
import { concatBytes } from "../../src/core/bytes/concat.ts";
import { type BodyReader, readBody, readShared } from "../../src/payload/body-reader.ts";

const KIB = 1024;

/** What the platform brings of a request. */
function streamOf(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array> {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  writer
    .write(bytes)
    .then(() => writer.close())
    .catch(() => undefined);
  return readable;
}

function countingBytes(sizeBytes: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: sizeBytes }, (_, at) => (at * 31 + (at >> 8)) & 0xff);
}

async function bytesOf(reader: BodyReader): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (let piece = await reader.next(); piece !== null; piece = await reader.next()) pieces.push(piece.slice());
  return concatBytes(pieces);
}

describe("a body that is read", () => {
  it.each([0, 1, 4 * KIB - 1, 4 * KIB, 4 * KIB + 1, 252 * KIB, 1_000 * KIB + 7])(
    "has its %i bytes",
    async (sizeBytes) => {
      const bytes = countingBytes(sizeBytes);
      expect(await bytesOf(readBody(streamOf(bytes)))).toEqual(bytes);
    },
  );

  it("is held in a buffer that grows with what has come", async () => {
    const reader = readBody(streamOf(countingBytes(1_000 * KIB)));
    const buffers: number[] = [];
    for (let piece = await reader.next(); piece !== null; piece = await reader.next()) {
      buffers.push(piece.buffer.byteLength / KIB);
    }
    expect(buffers.slice(0, 7)).toEqual([4, 8, 16, 32, 64, 128, 128]);
  });

  it("and let go can be read on", async () => {
    const bytes = countingBytes(100 * KIB);
    const stream = streamOf(bytes);
    const reader = readShared(stream);
    expect((await reader.next())?.length).toBe(4 * KIB);
    reader.cancel();
    expect(await bytesOf(readBody(stream))).toEqual(bytes.slice(4 * KIB));
  });
});
