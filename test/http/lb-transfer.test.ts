// One direction of a load-balanced request by itself: every byte, the exact limit, and which side has broken it.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { startTransfer } from "../../src/http/lb-transfer.ts";

const MAX_BYTES = 300_000;

/** A stream of bytes that the test writes, breaks and ends. `write` resolves when what was written has been taken. */
function openSource() {
  let controller: ReadableByteStreamController | undefined;
  let wanted = Promise.withResolvers<void>();
  const readable = new ReadableStream({
    type: "bytes",
    start: (given: ReadableByteStreamController) => {
      controller = given;
    },
    pull: () => wanted.resolve(),
    cancel: (cause) => {
      wanted.promise.catch(() => undefined);
      wanted.reject(cause instanceof Error ? cause : new Error(String(cause)));
    },
  });
  const write = async (sizeBytes: number): Promise<void> => {
    for (let leftBytes = sizeBytes; leftBytes > 0; leftBytes -= 50_000) {
      await wanted.promise;
      wanted = Promise.withResolvers();
      controller?.enqueue(new Uint8Array(Math.min(leftBytes, 50_000)).fill(leftBytes % 251));
    }
    await wanted.promise;
  };
  return {
    readable,
    write,
    close: () => {
      controller?.close();
      controller?.byobRequest?.respond(0);
    },
    abort: (cause: Error) => controller?.error(cause),
  };
}

const cases = [
  { holdMs: 0, isKnown: false },
  { holdMs: 0, isKnown: true },
  { holdMs: 20, isKnown: false },
  { holdMs: 20, isKnown: true },
];

async function bytesOf(stream: ReadableStream): Promise<number> {
  return (await new Response(stream).arrayBuffer()).byteLength;
}

describe.each(cases)("a transfer (%j)", ({ holdMs, isKnown }) => {
  const limitsFor = (sizeBytes: number) => ({ lengthBytes: isKnown ? sizeBytes : null, maxBytes: MAX_BYTES, holdMs });

  it.each([0, 1, 70_000, MAX_BYTES])("carries %i bytes", async (sizeBytes) => {
    const source = openSource();
    const transfer = startTransfer(source.readable, limitsFor(sizeBytes));
    const sent = source.write(sizeBytes).then(() => source.close());
    expect(await bytesOf(transfer.readable)).toBe(sizeBytes);
    await sent;
    expect(await transfer.end).toBe("done");
  });

  it.each([10, 100_000])("whose source breaks after %i bytes says so", async (sizeBytes) => {
    const source = openSource();
    const transfer = startTransfer(source.readable, limitsFor(200_000));
    const read = bytesOf(transfer.readable);
    read.catch(() => undefined);
    await source.write(sizeBytes);
    source.abort(new Error("broken"));
    await expect(read).rejects.toThrow();
    expect(await transfer.end).toBe("source_broke");
  });

  it("whose sink goes away ends, and so does its source", async () => {
    const source = openSource();
    const transfer = startTransfer(source.readable, limitsFor(200_000));
    const sent = source.write(200_000);
    const reader = transfer.readable.getReader();
    await reader.read();
    await reader.cancel("gone");
    await expect(sent).rejects.toThrow();
    expect(await transfer.end).toBe("sink_broke");
  });
});

describe.each([0, 20])("a transfer of no known length, held for %i ms,", (holdMs) => {
  const limits = { lengthBytes: null, maxBytes: MAX_BYTES, holdMs };

  it("ends at one byte over the limit", async () => {
    const source = openSource();
    const transfer = startTransfer(source.readable, limits);
    const sent = source.write(MAX_BYTES + 1).then(() => source.close());
    sent.catch(() => undefined);
    await expect(bytesOf(transfer.readable)).rejects.toThrow();
    expect(await transfer.end).toBe("too_large");
  });

  // By the platform's pipe only streams of its own are stopped at once: test/load/load-balanced.test.ts.
  it("that is stopped ends both sides at once", async () => {
    const source = openSource();
    const transfer = startTransfer(source.readable, limits);
    const read = bytesOf(transfer.readable);
    read.catch(() => undefined);
    await source.write(100_000);
    transfer.stop();
    expect(await transfer.end).toBe("sink_broke");
    await expect(read).rejects.toThrow();
    await expect(source.write(100_000)).rejects.toThrow();
  });
});

describe.each([
  { holdMs: 0, isKnown: false },
  { holdMs: 0, isKnown: true },
  { holdMs: 20, isKnown: false },
  { holdMs: 20, isKnown: true },
])("a transfer whose reader takes nothing (%j)", ({ holdMs, isKnown }) => {
  it("ends when it is stopped", async () => {
    // A stream of the platform's, as every body of the network is.
    const source = await nativeSource(200_000);
    const limits = { lengthBytes: isKnown ? 200_000 : null, maxBytes: MAX_BYTES, holdMs };
    const transfer = startTransfer(source, limits);
    expect(await transfer.begun).toBeNull();
    // Time for a write that nobody takes.
    await scheduler.wait(50);
    transfer.stop();
    expect(await Promise.race([transfer.end, scheduler.wait(2_000)])).toBe("sink_broke");
    await expect(bytesOf(transfer.readable)).rejects.toThrow();
  });
});

async function nativeSource(sizeBytes: number): Promise<ReadableStream<Uint8Array>> {
  const key = crypto.randomUUID();
  await env.PAYLOADS.put(key, new Uint8Array(sizeBytes));
  const stored = await env.PAYLOADS.get(key);
  if (stored === null) throw new Error("what was stored is gone");
  return stored.body;
}

describe("a transfer that is held back", () => {
  it("breaks where there is more than its source has said", async () => {
    const source = await nativeSource(20);
    const transfer = startTransfer(source, { lengthBytes: 10, maxBytes: MAX_BYTES, holdMs: 1_000 });
    expect(await transfer.begun).toBe("source_broke");
  });

  it("tells how its source has ended before a byte goes out, and lets a slow one begin", async () => {
    const broken = openSource();
    const short = startTransfer(broken.readable, { lengthBytes: 100, maxBytes: MAX_BYTES, holdMs: 1_000 });
    await broken.write(10);
    broken.abort(new Error("broken"));
    expect(await short.begun).toBe("source_broke");
    const slow = openSource();
    const startedMs = Date.now();
    const begins = startTransfer(slow.readable, { lengthBytes: null, maxBytes: MAX_BYTES, holdMs: 20 });
    expect(await begins.begun).toBeNull();
    expect(Date.now() - startedMs).toBeLessThan(500);
    const read = bytesOf(begins.readable);
    await slow.write(60_000);
    slow.close();
    expect(await read).toBe(60_000);
  });
});
