// The log of a stream at its broker, past HTTP: what stands in it, and how much a page and a log may be.
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { BrokerStore } from "../../../src/broker/store/jobs.ts";
import { STREAM_START } from "../../../src/core/job/stream-cursor.ts";
import { ENDPOINT_STREAMS_MAX_BYTES } from "../../../src/core/limits.ts";
import { holdCarriers, makeBroker, submission } from "../../support/broker.ts";

afterEach(() => vi.restoreAllMocks());

/** A job that a carrier holds, and its log. */
async function streaming() {
  const given = holdCarriers();
  const { endpointId, broker } = await makeBroker();
  const job = submission();
  await broker.submit(job);
  await broker.start();
  await vi.waitFor(() => expect(given).toHaveLength(1));
  const lease = given[0]?.lease ?? "";
  const { jobId, tenantId } = job;
  const append = (firstSeq: number, chunks: readonly Uint8Array[]) =>
    broker.appendChunks({ jobId, lease, firstSeq, chunks });
  return { endpointId, broker, jobId, tenantId, append };
}

const tiny = (count: number) => Array.from({ length: count }, () => Uint8Array.of(0x31));

describe("a page of a stream", () => {
  it("is small, too, where its chunks are", async () => {
    const { broker, jobId, tenantId, append } = await streaming();
    for (let n = 0; n < 5; n += 1) expect(await append(1 + n * 10_000, tiny(10_000))).toBe(true);
    let [after, seen, pages] = [STREAM_START, 0, 0];
    for (let isMore = true; isMore; pages += 1) {
      const page = await broker.readStream({ tenantId, jobId, after, holdMs: 0 });
      if (!page.ok) throw new Error(page.failure.kind);
      expect(page.value.chunks.length).toBeLessThan(30_000);
      seen += page.value.chunks.length;
      after = page.value.chunks.at(-1) ?? after;
      isMore = page.value.more;
    }
    expect([seen, pages]).toEqual([50_000, 3]);
  });
});

describe("a stream", () => {
  it("is in SQLite when its chunks are accepted, with the place of the drain, and what arrives together is one row", async () => {
    const { endpointId, broker, jobId, tenantId, append } = await streaming();
    const object = env.ENDPOINT_BROKER.getByName(endpointId);
    expect(await append(1, tiny(3))).toBe(true);
    const rows = await runInDurableObject(object, (_instance, { storage }) =>
      storage.sql.exec("SELECT attempt, seq, count FROM chunks").toArray(),
    );
    expect(rows).toEqual([{ attempt: 1, seq: 1, count: 3 }]);
    expect(await broker.drainStream({ tenantId, jobId })).toMatchObject({ value: { chunks: { length: 3 } } });
    await evictDurableObject(object);
    // The same call once more, because its answer was lost, and one chunk behind it.
    expect(await append(1, tiny(4))).toBe(true);
    expect(await broker.drainStream({ tenantId, jobId })).toMatchObject({
      value: { chunks: [{ attempt: 1, seq: 4 }] },
    });
    const all = await broker.readStream({ tenantId, jobId, after: STREAM_START, holdMs: 0 });
    expect(all).toMatchObject({ value: { chunks: { length: 4 } } });
  });

  it("ends with its job where the endpoint is full, so that other jobs can still finish", async () => {
    const { broker, jobId, tenantId, append } = await streaming();
    expect(await append(1, tiny(1))).toBe(true);
    vi.spyOn(BrokerStore.prototype, "sizeBytes", "get").mockReturnValue(ENDPOINT_STREAMS_MAX_BYTES + 1);
    expect(await append(2, tiny(1))).toBe(false);
    expect(await broker.read({ tenantId, jobId, ttlMs: null })).toMatchObject({
      value: {
        status: "FAILED",
        error: expect.stringContaining("no room for more of the stream"),
        failure: { code: "endpoint_full", source: "waybill" },
      },
    });
  });
});
