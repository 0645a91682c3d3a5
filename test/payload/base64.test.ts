// Bodies of any kind, kept as a JSON string of their base64, and sent on as they were.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { readBase64 } from "../../src/payload/base64-body.ts";
import { bytesOfBase64 } from "../../src/payload/base64-bytes.ts";
import { chunkStream } from "./fixtures.ts";

function bytesOf(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) % 256);
}

describe("a body that is no JSON", () => {
  it.each([0, 1, 1_000, 300_000, 300_001, 300_002, 6_000_001])("of %i bytes comes back as it was", async (length) => {
    const bytes = bytesOf(length);
    const options = { bucket: env.PAYLOADS, key: crypto.randomUUID(), maxBytes: 10_000_000 };
    const read = await readBase64(bytes, options);
    if (read.kind !== "ok") throw new Error(read.kind);
    const opened = await bytesOfBase64(read.payload, env.PAYLOADS);
    if (opened.kind !== "ok") throw new Error(opened.kind);
    expect(opened.sizeBytes).toBe(length);
    expect(new Uint8Array(await new Response(opened.body).arrayBuffer())).toEqual(bytes);
  });

  it("is read from R2 only as fast as it is sent", async () => {
    const text = `"${btoa("x".repeat(3_000_000))}"`;
    const pieces = Array.from({ length: 400 }, (_, n) =>
      new TextEncoder().encode(text.slice(n * 10_001, (n + 1) * 10_001)),
    );
    const { stream, seen } = chunkStream(pieces.filter(({ length }) => length > 0));
    const get = async (_key: string, options?: R2GetOptions) =>
      options?.range === undefined ? { size: text.length, body: stream } : { text: async () => text.slice(-3) };
    const bucket = { get } as unknown as R2Bucket;
    const opened = await bytesOfBase64({ kind: "r2", key: "k", sizeBytes: text.length }, bucket);
    if (opened.kind !== "ok" || opened.body instanceof Uint8Array) throw new Error("no stream");
    const reader = opened.body.getReader();
    expect((await reader.read()).done).toBe(false);
    expect(seen.chunks).toBeLessThan(50);
    await reader.cancel();
  });

  it("that is not there any more is told", async () => {
    const payload = { kind: "r2", key: crypto.randomUUID(), sizeBytes: 400_002 } as const;
    expect(await bytesOfBase64(payload, env.PAYLOADS)).toMatchObject({ kind: "missing" });
  });
});
