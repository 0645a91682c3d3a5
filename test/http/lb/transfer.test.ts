// One direction of a load-balanced request by itself: every byte, the exact limit, and which side has broken it.
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { startTransfer } from "../../../src/http/lb/transfer.ts";

const MAX_BYTES = 300_000;
/** Longer than any test. */
const REST_MS = 60_000;

/** A stream of bytes that the test writes, breaks and ends. `write` resolves when what was written has been taken; `writeAll` ends it. */
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
  const writeAll = async (sizeBytes: number): Promise<void> => {
    await write(sizeBytes);
    controller?.close();
    controller?.byobRequest?.respond(0);
  };
  return {
    readable,
    write,
    writeAll,
    abort: (cause: Error) => controller?.error(cause),
  };
}

const cases = [
  { holdMs: 0, isKnown: false, isUpload: true },
  { holdMs: 0, isKnown: true, isUpload: true },
  { holdMs: 20, isKnown: false, isUpload: false },
  { holdMs: 20, isKnown: true, isUpload: false },
];

/** Takes the lock of a stream in the turn in which its first reader lets go of it. */
function lockWhenFree(stream: ReadableStream<Uint8Array>): Promise<void> {
  const locked = Promise.withResolvers<void>();
  const getReader = stream.getReader.bind(stream);
  const spy = vi.spyOn(stream, "getReader").mockImplementationOnce(() => {
    spy.mockRestore();
    const reader = getReader({ mode: "byob" });
    const release = reader.releaseLock.bind(reader);
    vi.spyOn(reader, "releaseLock").mockImplementation(() => {
      release();
      stream.getReader();
      locked.resolve();
    });
    return reader;
  });
  return locked.promise;
}

async function bytesOf(stream: ReadableStream): Promise<number> {
  return (await new Response(stream).arrayBuffer()).byteLength;
}

describe.each(cases)("a transfer (%j)", ({ isKnown, ...kind }) => {
  const limitsFor = (sizeBytes: number) => ({ lengthBytes: isKnown ? sizeBytes : null, maxBytes: MAX_BYTES, ...kind });

  it.each([0, 1, 70_000, MAX_BYTES])("carries %i bytes", async (sizeBytes) => {
    const source = openSource();
    const transfer = startTransfer(source.readable, limitsFor(sizeBytes));
    const sent = source.writeAll(sizeBytes);
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

  it("whose sink goes away ends, and so does its source when it is stopped", async () => {
    const source = openSource();
    const transfer = startTransfer(source.readable, limitsFor(300_000));
    const sent = source.write(300_000);
    const reader = transfer.readable.getReader();
    await reader.read();
    await reader.cancel("gone");
    expect(await transfer.end).toBe("sink_broke");
    transfer.stop();
    await expect(sent.then(() => source.write(1))).rejects.toThrow();
  });
});

describe.each([{ isKnown: false }, { isKnown: true }])("an upload (%j)", ({ isKnown }) => {
  const limits = { lengthBytes: isKnown ? 300_000 : null, maxBytes: MAX_BYTES, holdMs: 0, isUpload: true };

  it("whose worker goes away is taken to its end, so that its sender comes to read the answer", async () => {
    const source = openSource();
    const transfer = startTransfer(source.readable, limits);
    const sent = source.writeAll(300_000);
    const reader = transfer.readable.getReader();
    await reader.read();
    await reader.cancel("gone");
    expect(await transfer.end).toBe("sink_broke");
    await transfer.takeRest(REST_MS);
    await sent;
  });

  it("that no worker reads is taken to its end when it is told to, and to nobody", async () => {
    const source = openSource();
    const transfer = startTransfer(source.readable, limits);
    const sent = source.writeAll(300_000);
    await transfer.takeRest(REST_MS);
    await sent;
    expect(await transfer.end).toBe("sink_broke");
    await expect(bytesOf(transfer.readable)).rejects.toThrow();
  });

  it("whose source somebody else has taken by then does not wait for it", async () => {
    const source = openSource();
    const locked = lockWhenFree(source.readable);
    const transfer = startTransfer(source.readable, limits);
    void source.write(300_000).catch(() => undefined);
    const reader = transfer.readable.getReader();
    await reader.read();
    await reader.cancel("gone");
    await locked;
    await transfer.takeRest(REST_MS);
    expect(await transfer.end).toBe("sink_broke");
  });

  it("that never ends is cancelled after a while", async () => {
    const source = openSource();
    const transfer = startTransfer(source.readable, limits);
    const startedMs = Date.now();
    await transfer.takeRest(100);
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(90);
    await expect(source.write(1)).rejects.toThrow();
  });

  it("whose worker has taken every byte and does not ask for the end has no rest", async () => {
    const source = openSource();
    const transfer = startTransfer(source.readable, limits);
    const sent = source.writeAll(300_000);
    const reader = transfer.readable.getReader();
    for (let bytes = 0; bytes < 300_000; ) bytes += (await reader.read()).value?.byteLength ?? 0;
    await sent;
    await transfer.takeRest(REST_MS);
    expect(await transfer.end).toBe("done");
  });

  it("that is over has no rest", async () => {
    const source = openSource();
    const transfer = startTransfer(source.readable, limits);
    const sent = source.writeAll(300_000);
    expect(await bytesOf(transfer.readable)).toBe(300_000);
    await Promise.all([sent, transfer.takeRest(REST_MS)]);
    expect(await transfer.end).toBe("done");
  });
});

it("an answer waits with its end, not with its bytes", async () => {
  const source = openSource();
  const gate = Promise.withResolvers<void>();
  const limits = { lengthBytes: null, maxBytes: MAX_BYTES, holdMs: 20, isUpload: false };
  const transfer = startTransfer(source.readable, { ...limits, beforeEnd: () => gate.promise });
  const sent = source.writeAll(10);
  const reader = transfer.readable.getReader();
  expect((await reader.read()).value?.byteLength).toBe(10);
  await sent;
  const last = reader.read();
  expect(await Promise.race([last, scheduler.wait(50)])).toBeUndefined();
  gate.resolve();
  expect((await last).done).toBe(true);
  expect(await transfer.end).toBe("done");
});

describe.each([
  { holdMs: 0, isUpload: true },
  { holdMs: 20, isUpload: false },
])("a transfer of no known length (%j)", (kind) => {
  const limits = { lengthBytes: null, maxBytes: MAX_BYTES, ...kind };

  it("ends at one byte over the limit", async () => {
    const source = openSource();
    const transfer = startTransfer(source.readable, limits);
    const sent = source.writeAll(MAX_BYTES + 1);
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

describe.each(cases)("a transfer whose reader takes nothing (%j)", ({ isKnown, ...kind }) => {
  it("ends when it is stopped", async () => {
    // A stream of the platform's, as every body of the network is.
    const source = await nativeSource(200_000);
    const limits = { lengthBytes: isKnown ? 200_000 : null, maxBytes: MAX_BYTES, ...kind };
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
    const transfer = startTransfer(source, { lengthBytes: 10, maxBytes: MAX_BYTES, holdMs: 1_000, isUpload: false });
    expect(await transfer.begun).toBe("source_broke");
  });

  it("tells how its source has ended before a byte goes out, and lets a slow one begin", async () => {
    const broken = openSource();
    const short = startTransfer(broken.readable, {
      lengthBytes: 100,
      maxBytes: MAX_BYTES,
      holdMs: 1_000,
      isUpload: false,
    });
    await broken.write(10);
    broken.abort(new Error("broken"));
    expect(await short.begun).toBe("source_broke");
    const slow = openSource();
    const startedMs = Date.now();
    const begins = startTransfer(slow.readable, {
      lengthBytes: null,
      maxBytes: MAX_BYTES,
      holdMs: 20,
      isUpload: false,
    });
    expect(await begins.begun).toBeNull();
    expect(Date.now() - startedMs).toBeLessThan(500);
    const read = bytesOf(begins.readable);
    await slow.writeAll(60_000);
    expect(await read).toBe(60_000);
  });
});
