// Bodies put together from text, inline payloads and real R2 objects.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { PayloadRef } from "../../src/core/json/payload-ref.ts";
import { spliceBody } from "../../src/payload/splice.ts";
import { deletePayload } from "../../src/payload/store.ts";
import { firstDifference, join, jsonString, wrapBucket } from "./fixtures.ts";

const MIB = 1024 * 1024;

async function put(key: string, bytes: Uint8Array): Promise<PayloadRef> {
  await env.PAYLOADS.put(key, bytes);
  return { kind: "r2", key, sizeBytes: bytes.length };
}

describe("spliceBody", () => {
  it("joins text and inline payloads into one array", async () => {
    const inline: PayloadRef = { kind: "inline", bytes: join('"é\u2028"') };
    const spliced = await spliceBody(['{"ü":', inline, "}"], env.PAYLOADS);
    const body = join('{"ü":"é\u2028"}');
    expect(spliced).toEqual({ kind: "ok", body, sizeBytes: body.length });
  });

  it("streams R2 payloads between text, byte for byte, with the length known", async () => {
    const [input, output] = [jsonString(3 * MIB), jsonString(12 * MIB)];
    const parts = [
      '{"input":',
      await put("splice/in", input),
      ',"x":',
      { kind: "inline", bytes: join("1.0") } as const,
      ',"output":',
      await put("splice/out", output),
      "}",
    ];
    const expected = join('{"input":', input, ',"x":1.0,"output":', output, "}");
    const spliced = await spliceBody(parts, env.PAYLOADS);
    if (spliced.kind !== "ok") throw new Error(`unexpected ${spliced.kind}`);
    expect(spliced.sizeBytes).toBe(expected.length);
    expect(firstDifference(await new Response(spliced.body).bytes(), expected)).toBeNull();
  });

  it("waits for a reader that is slower than R2", async () => {
    const bytes = jsonString(6 * MIB);
    const ref = await put("splice/slow", bytes);
    let pulledBytes = 0;
    const bucket = wrapBucket(env.PAYLOADS, {
      async get() {
        let at = 0;
        const body = new ReadableStream<Uint8Array>({
          pull(controller) {
            if (at >= bytes.length) return controller.close();
            controller.enqueue(bytes.slice(at, at + 65_536));
            at += 65_536;
            pulledBytes = at;
          },
        });
        return { size: bytes.length, body };
      },
    });
    const spliced = await spliceBody(["[", ref, "]"], bucket);
    if (spliced.kind !== "ok" || spliced.body instanceof Uint8Array) throw new Error("expected a stream");
    const reader = spliced.body.getReader();
    const got = new Uint8Array(bytes.length + 2);
    let takenBytes = 0;
    let aheadMaxBytes = 0;
    for (;;) {
      // Ten turns of the event loop through R2 for each read: the writer had every chance to run ahead.
      for (let turn = 0; turn < 10 && takenBytes < 200_000; turn++) await env.PAYLOADS.head("splice/slow");
      aheadMaxBytes = Math.max(aheadMaxBytes, pulledBytes - takenBytes);
      const { done, value } = await reader.read();
      if (done) break;
      got.set(value, takenBytes);
      takenBytes += value.length;
    }
    expect(aheadMaxBytes).toBeLessThanOrEqual(4 * 65_536);
    expect(firstDifference(got, join("[", bytes, "]"))).toBeNull();
  });

  it("tells a missing object, and one of another size, before anything is answered", async () => {
    const there = await put("splice/there", jsonString(300_000));
    const gone = { kind: "r2", key: "splice/gone", sizeBytes: 5 } as const;
    expect(await spliceBody(["[", there, ",", gone, "]"], env.PAYLOADS)).toEqual({
      kind: "missing",
      key: "splice/gone",
    });
    const shorter = { kind: "r2", key: "splice/there", sizeBytes: 5 } as const;
    expect(await spliceBody([shorter], env.PAYLOADS)).toEqual({ kind: "missing", key: "splice/there" });
  });

  it("tells that R2 does not answer", async () => {
    const bucket = wrapBucket(env.PAYLOADS, { get: () => Promise.reject(new Error("R2 is down")) });
    const spliced = await spliceBody([{ kind: "r2", key: "splice/down", sizeBytes: 5 }], bucket);
    expect(spliced).toEqual({ kind: "storage_failed", message: "R2 did not give the payload: R2 is down" });
  });

  it("gives the reader an error when R2 breaks in the middle, never a short body", async () => {
    const bucket = wrapBucket(env.PAYLOADS, {
      async get() {
        const chunks = [join("12345")];
        const body = new ReadableStream<Uint8Array>({
          pull(controller) {
            const chunk = chunks.pop();
            if (chunk === undefined) controller.error(new Error("R2 broke"));
            else controller.enqueue(chunk);
          },
        });
        return { size: 10, body };
      },
    });
    const spliced = await spliceBody([{ kind: "r2", key: "splice/breaks", sizeBytes: 10 }], bucket);
    if (spliced.kind !== "ok") throw new Error(`unexpected ${spliced.kind}`);
    await expect(new Response(spliced.body).bytes()).rejects.toThrow();
  });

  it("ends quietly when the reader leaves", async () => {
    const ref = await put("splice/left", jsonString(6 * MIB));
    const spliced = await spliceBody(["[", ref, ",", ref, "]"], env.PAYLOADS);
    if (spliced.kind !== "ok" || spliced.body instanceof Uint8Array) throw new Error("expected a stream");
    const reader = spliced.body.getReader();
    await reader.read();
    await reader.cancel("the client left");
    expect(await env.PAYLOADS.head("splice/left")).not.toBeNull();
  });
});

describe("deletePayload", () => {
  it("removes the object of a payload and does nothing for an inline one", async () => {
    const ref = await put("splice/deleted", jsonString(300_000));
    await deletePayload(ref, env.PAYLOADS);
    expect(await env.PAYLOADS.head("splice/deleted")).toBeNull();
    await expect(deletePayload({ kind: "inline", bytes: join("1") }, env.PAYLOADS)).resolves.toBeUndefined();
  });
});
