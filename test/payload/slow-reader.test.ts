// Whoever reads a body sets the pace: with a reader ten times slower than the writer, no part of the way holds more than
// 8 MiB of it at any moment. What is held is what was taken from the writer and has not reached the reader.
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { callUrl } from "../../src/outbound/call.ts";
import { readEnvelope } from "../../src/payload/envelope.ts";
import { spliceBody } from "../../src/payload/splice.ts";
import { PUBLIC_ONLY } from "../support/reach.ts";
import { wrapBucket, wrapParts } from "./fixtures.ts";

const MIB = 1024 * 1024;
const HELD_MAX_BYTES = 8 * MIB;
const CHUNK_BYTES = 256 * 1024;
const WRITER_MS = 1;
const READER_MS = 10 * WRITER_MS;

afterEach(() => vi.restoreAllMocks());

/** Counts what is on the way, and the most that ever was. */
class Way {
  peakBytes = 0;
  #bytes = 0;

  taken(bytes: number): void {
    this.#bytes += bytes;
    this.peakBytes = Math.max(this.peakBytes, this.#bytes);
  }

  arrived(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** A writer at its own pace: one chunk a millisecond, as long as somebody takes them. `wrap` makes it a JSON string. */
function writer(way: Way, totalBytes: number, before = "", after = ""): ReadableStream<Uint8Array> {
  let left = totalBytes;
  let begun = false;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!begun) controller.enqueue(new TextEncoder().encode(`${before}"`));
        begun = true;
        await scheduler.wait(WRITER_MS);
        const chunk = new Uint8Array(Math.min(CHUNK_BYTES, left)).fill(0x61);
        left -= chunk.length;
        way.taken(chunk.length);
        controller.enqueue(chunk);
        if (left > 0) return;
        controller.enqueue(new TextEncoder().encode(`"${after}`));
        controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

async function readSlowly(body: ReadableStream<Uint8Array>, way: Way): Promise<number> {
  let total = 0;
  let owedMs = 0;
  for await (const chunk of body) {
    total += chunk.length;
    way.arrived(chunk.length);
    // workerd hands out small pieces: the reader's time is by the byte, not by the piece.
    owedMs += (READER_MS * chunk.length) / CHUNK_BYTES;
    if (owedMs < 1) continue;
    await scheduler.wait(owedMs);
    owedMs = 0;
  }
  return total;
}

describe("with a reader ten times slower than the writer", () => {
  it("a result of 20 MiB on its way from R2 to a client holds at most 8 MiB", async () => {
    const way = new Way();
    const sizeBytes = 20 * MIB + 2;
    const get = async () => ({ size: sizeBytes, body: writer(way, 20 * MIB) }) as unknown as R2ObjectBody;
    const bucket = wrapBucket(env.PAYLOADS, { get: get as unknown as R2Bucket["get"] });
    const spliced = await spliceBody(['{"output":', { kind: "r2", key: "any", sizeBytes }, "}"], bucket);
    if (spliced.kind !== "ok" || spliced.body instanceof Uint8Array) throw new Error("no stream");
    expect(await readSlowly(spliced.body, way)).toBe(spliced.sizeBytes);
    expect(way.peakBytes).toBeLessThanOrEqual(HELD_MAX_BYTES);
  });

  it("an input of 20 MiB on its way from a client to R2 holds at most 8 MiB", async () => {
    const way = new Way();
    const partMs = (5 * MIB * READER_MS) / CHUNK_BYTES;
    let storedBytes = 0;
    const bucket = wrapParts(env.PAYLOADS, async (_, sizeBytes) => {
      await scheduler.wait(partMs);
      storedBytes += sizeBytes;
      way.arrived(sizeBytes);
    });
    const read = await readEnvelope(writer(way, 20 * MIB - 100, '{"input":', "}"), {
      bigField: "input",
      bucket,
      key: "slow-reader/input",
      maxBytes: 20 * MIB,
      fieldsMaxBytes: 1_000,
    });
    expect(read).toMatchObject({ kind: "ok", big: { kind: "r2", sizeBytes: 20 * MIB - 98 } });
    expect(storedBytes).toBe(20 * MIB - 98);
    expect(way.peakBytes).toBeLessThanOrEqual(HELD_MAX_BYTES);
  });

  it("an input of 20 MiB on its way from R2 to a worker holds at most 8 MiB", async () => {
    const way = new Way();
    let received = 0;
    vi.spyOn(globalThis, "fetch").mockImplementation(async (_, init) => {
      const body = init instanceof Object && "body" in init ? init.body : null;
      if (!(body instanceof ReadableStream)) throw new Error("no body");
      received = await readSlowly(body, way);
      return new Response("{}");
    });
    const sizeBytes = 20 * MIB + 2;
    const result = await callUrl(
      {
        url: "https://gpu.example.org/",
        method: "POST",
        headers: {},
        body: writer(way, 20 * MIB),
        contentLength: sizeBytes,
        totalMs: 60_000,
        idleMs: 30_000,
      },
      PUBLIC_ONLY,
    );
    expect(result.kind).toBe("response");
    expect(received).toBe(sizeBytes);
    expect(way.peakBytes).toBeLessThanOrEqual(HELD_MAX_BYTES);
  });
});
