// The sink against real R2, and against one that is slow or fails.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { PAYLOAD_ROW_MAX_BYTES, R2_PART_BYTES } from "../../src/core/limits.ts";
import { PayloadSink } from "../../src/payload/sink.ts";
import { firstDifference, jsonString, wrapBucket, wrapParts } from "./fixtures.ts";

const MAX_BYTES = 20 * 1024 * 1024;
const CHUNK_BYTES = 100_000;

async function writeAll(sink: PayloadSink, bytes: Uint8Array) {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    const failure = await sink.write(bytes.subarray(at, at + CHUNK_BYTES));
    if (failure !== null) return failure;
  }
  return await sink.finish();
}

async function stored(key: string): Promise<Uint8Array | null> {
  const object = await env.PAYLOADS.get(key);
  return object === null ? null : await object.bytes();
}

function broken(): Promise<never> {
  return Promise.reject(new Error("R2 is down"));
}

describe("the payload sink", () => {
  it.each([0, 1, 1_025, PAYLOAD_ROW_MAX_BYTES])("keeps %i bytes in memory", async (sizeBytes) => {
    const bytes = jsonString(sizeBytes).slice(0, sizeBytes);
    const sink = new PayloadSink({ bucket: env.PAYLOADS, key: `sink/inline-${sizeBytes}`, maxBytes: MAX_BYTES });
    expect(await writeAll(sink, bytes)).toEqual({ kind: "inline", bytes });
    expect(await stored(`sink/inline-${sizeBytes}`)).toBeNull();
  });

  it.each([PAYLOAD_ROW_MAX_BYTES + 1, R2_PART_BYTES, R2_PART_BYTES + 1, 2 * R2_PART_BYTES, 12 * 1024 * 1024])(
    "puts %i bytes into R2 as they are",
    async (sizeBytes) => {
      const key = `sink/r2-${sizeBytes}`;
      const bytes = jsonString(sizeBytes);
      const sink = new PayloadSink({ bucket: env.PAYLOADS, key, maxBytes: MAX_BYTES });
      expect(await writeAll(sink, bytes)).toEqual({ kind: "r2", key, sizeBytes });
      expect(firstDifference((await stored(key)) ?? new Uint8Array(0), bytes)).toBeNull();
      expect(sink.heldBytes).toBe(0);
    },
  );

  it("makes one put of a value that fits in one part and equal parts of a larger one", async () => {
    const parts: number[] = [];
    const bucket = wrapParts(env.PAYLOADS, async (partNumber) => void parts.push(partNumber));
    await writeAll(new PayloadSink({ bucket, key: "sink/one-put", maxBytes: MAX_BYTES }), jsonString(R2_PART_BYTES));
    expect(parts).toEqual([]);
    await writeAll(new PayloadSink({ bucket, key: "sink/parts", maxBytes: MAX_BYTES }), jsonString(R2_PART_BYTES * 2));
    expect(parts).toEqual([1, 2]);
  });

  it("takes exactly its limit, and refuses one byte more with nothing left in R2", async () => {
    const maxBytes = 11 * 1024 * 1024;
    const fits = new PayloadSink({ bucket: env.PAYLOADS, key: "sink/fits", maxBytes });
    expect(await writeAll(fits, jsonString(maxBytes))).toMatchObject({ kind: "r2", sizeBytes: maxBytes });
    const aborted: string[] = [];
    const bucket = wrapParts(env.PAYLOADS, () => Promise.resolve(), aborted);
    const over = new PayloadSink({ bucket, key: "sink/over", maxBytes });
    expect(await writeAll(over, jsonString(maxBytes + 1))).toEqual({ kind: "too_large", maxBytes });
    expect(await stored("sink/over")).toBeNull();
    expect(aborted).toEqual(["sink/over"]);
    expect(over.heldBytes).toBe(0);
    expect(await over.write(new Uint8Array(1))).toEqual({ kind: "too_large", maxBytes });
  });

  it("holds less than 8 MiB and takes nothing while R2 is slow with a part", async () => {
    const gates: (() => void)[] = [];
    const bucket = wrapParts(env.PAYLOADS, () => new Promise<void>((resolve) => void gates.push(resolve)));
    const sink = new PayloadSink({ bucket, key: "sink/slow-r2", maxBytes: MAX_BYTES });
    const bytes = jsonString(12 * 1024 * 1024);
    let takenBytes = 0;
    const writing = (async () => {
      for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
        await sink.write(bytes.subarray(at, at + CHUNK_BYTES));
        takenBytes = Math.min(at + CHUNK_BYTES, bytes.length);
      }
      return await sink.finish();
    })();
    for (const part of [1, 2, 3]) {
      await expect.poll(() => gates.length).toBe(part);
      const takenWhileShut = takenBytes;
      expect(takenWhileShut).toBeLessThanOrEqual(part * R2_PART_BYTES);
      await env.PAYLOADS.head("sink/any");
      expect(takenBytes).toBe(takenWhileShut);
      gates[part - 1]?.();
    }
    expect(await writing).toMatchObject({ kind: "r2", sizeBytes: bytes.length });
    expect(sink.peakHeldBytes).toBeGreaterThan(R2_PART_BYTES);
    expect(sink.peakHeldBytes).toBeLessThan(8 * 1024 * 1024);
    expect(firstDifference((await stored("sink/slow-r2")) ?? new Uint8Array(0), bytes)).toBeNull();
  });

  it("says that R2 failed, in put and in a part, and keeps nothing", async () => {
    const put = new PayloadSink({
      bucket: wrapBucket(env.PAYLOADS, { put: broken }),
      key: "sink/put-down",
      maxBytes: MAX_BYTES,
    });
    expect(await writeAll(put, jsonString(300_000))).toEqual({
      kind: "storage_failed",
      message: "R2 did not take the payload: R2 is down",
    });
    const bucket = wrapParts(env.PAYLOADS, (partNumber) => (partNumber === 2 ? broken() : Promise.resolve()));
    const parts = new PayloadSink({ bucket, key: "sink/part-down", maxBytes: MAX_BYTES });
    expect(await writeAll(parts, jsonString(12 * 1024 * 1024))).toMatchObject({ kind: "storage_failed" });
    expect(await stored("sink/part-down")).toBeNull();
    expect([put.heldBytes, parts.heldBytes]).toEqual([0, 0]);
  });

  it("holds the part and tries again as long as its owner says so", async () => {
    const asked: number[] = [];
    const bucket = wrapParts(env.PAYLOADS, () => (asked.length < 3 ? broken() : Promise.resolve()));
    const bytes = jsonString(6 * 1024 * 1024);
    const retryStorage = async (failures: number) => {
      asked.push(failures);
      return true;
    };
    const sink = new PayloadSink({ bucket, key: "sink/retry", maxBytes: MAX_BYTES, retryStorage });
    expect(await writeAll(sink, bytes)).toMatchObject({ kind: "r2" });
    expect(asked).toEqual([1, 2, 3]);
    expect(firstDifference((await stored("sink/retry")) ?? new Uint8Array(0), bytes)).toBeNull();
  });

  it("drops a finished object when it is aborted", async () => {
    const sink = new PayloadSink({ bucket: env.PAYLOADS, key: "sink/dropped", maxBytes: MAX_BYTES });
    await writeAll(sink, jsonString(6 * 1024 * 1024));
    expect(await env.PAYLOADS.head("sink/dropped")).not.toBeNull();
    await sink.abort();
    expect(await env.PAYLOADS.head("sink/dropped")).toBeNull();
  });
});
