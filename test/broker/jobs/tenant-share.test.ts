// One tenant cannot fill an endpoint that others use, too: rows and bytes of its jobs have a share, and kept ones count.

import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { refuseBeyondShare } from "../../../src/broker/jobs/tenant-share.ts";
import { NOTHING_KEPT } from "../../../src/broker/store/kept-tally.ts";
import type { SubmitCall } from "../../../src/contract/broker.ts";
import { wireOf } from "../../../src/contract/wire-failure.ts";
import { failed } from "../../../src/core/job/failure.ts";
import {
  ENDPOINT_MAX_BYTES,
  ENDPOINT_ROWS_MAX,
  PAYLOAD_ROW_MAX_BYTES,
  SWEEP_EVERY_MS,
} from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { answerUpstreams, holdCarriers, makeBroker, submission, upstream } from "../../support/broker.ts";
import { keptOf } from "../../support/kept.ts";

const RETENTION_MS = 600_000;
/** The least share that an endpoint can give. */
const ONE_PERCENT = { rows: ENDPOINT_ROWS_MAX / 100, bytes: ENDPOINT_MAX_BYTES / 100 };
const largest = { kind: "inline", bytes: new Uint8Array(PAYLOAD_ROW_MAX_BYTES).fill(49) } as const;

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Submits and cancels in turn, until it is refused. Within the object, since it takes thousands. */
async function fill(endpointId: string, partial: Partial<SubmitCall>): Promise<{ made: number; refusal: unknown }> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (instance) => {
    const broker = instance as ReturnType<typeof brokerOf>;
    for (let made = 0; ; made += 1) {
      const call = submission({ tenantId: "greedy", ...partial });
      const answer = await broker.submit(call);
      if (!answer.ok) return { made, refusal: answer.failure };
      await broker.cancel({ tenantId: "greedy", jobId: call.jobId });
    }
  });
}

function submit(endpointId: string, partial: Partial<SubmitCall>) {
  return brokerOf(env, endpointId).submit(submission(partial));
}

/** Until the sweep has walked over all rows, some pages of them. */
async function sweep(endpointId: string): Promise<void> {
  for (let rung = 0; rung < 15; rung += 1) {
    vi.setSystemTime(Date.now() + SWEEP_EVERY_MS);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
  }
}

describe("a tenant that has filled its share of an endpoint", () => {
  it.each([
    ["bytes", { input: largest }, Math.floor(ONE_PERCENT.bytes / (PAYLOAD_ROW_MAX_BYTES + 2))],
    ["rows", {}, ONE_PERCENT.rows],
  ] as const)(
    "with %s of cancelled jobs is refused, others are not, and gets room back as they go",
    {
      timeout: 60_000,
    },
    async (full, partial, expected) => {
      const limits = { upstreams: [], runRetentionMs: RETENTION_MS, tenantSharePercent: 1 };
      const { endpointId } = await makeBroker(limits);
      const { made, refusal } = await fill(endpointId, partial);
      expect(made).toBe(expected);
      expect(refusal).toMatchObject({ kind: "tenant_share", full, max: ONE_PERCENT[full] });
      expect(await submit(endpointId, { ...partial, tenantId: "another" })).toMatchObject({ ok: true });
      await abortAllDurableObjects();
      const refused = await submit(endpointId, { ...partial, tenantId: "greedy" });
      expect(refused).toMatchObject({ ok: false, failure: { kind: "tenant_share", full } });
      expect(await submit(endpointId, { ...partial, tenantId: "another" })).toMatchObject({ ok: true });

      vi.setSystemTime(Date.now() + RETENTION_MS);
      await sweep(endpointId);
      const { memory } = await keptOf(endpointId, ["greedy"]);
      expect(memory).toEqual([NOTHING_KEPT]);
      expect(await submit(endpointId, { ...partial, tenantId: "greedy" })).toMatchObject({ ok: true });
    },
  );

  it("still gets the results, chunks and retries of the jobs that were taken before, and the answer of a repeated call", {
    timeout: 60_000,
  }, async () => {
    const carriers = holdCarriers();
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 1 })], tenantSharePercent: 1 });
    const call = submission({ tenantId: "greedy" });
    const job = { tenantId: "greedy", jobId: call.jobId };
    await broker.submit(call);
    await vi.waitFor(() => expect(carriers).toHaveLength(1));
    await fill(endpointId, { input: largest });
    // The last bytes, too, that the largest ones have left.
    await fill(endpointId, { input: { kind: "inline", bytes: largest.bytes.slice(0, 8_000) } });
    const [carrier = { jobId: "", lease: "" }] = carriers;
    expect(await broker.appendChunks({ ...carrier, firstSeq: 1, chunks: [largest.bytes] })).toBe(true);
    const failure = { kind: "handler_error", failure: failed("handler_error", "no"), output: largest } as const;
    expect(await broker.finish({ ...carrier, outcome: failure })).toMatchObject({ accepted: true });
    expect(await broker.submit(call)).toMatchObject({ ok: true, value: { job: { status: "FAILED" } } });
    expect(await broker.retry(job)).toMatchObject({ ok: true });
    await vi.waitFor(() => expect(carriers).toHaveLength(2));
    const completed = { kind: "completed", output: largest } as const;
    expect(await broker.finish({ ...(carriers[1] ?? carrier), outcome: completed })).toMatchObject({ accepted: true });
    expect(await broker.read({ ...job, ttlMs: null })).toMatchObject({ ok: true, value: { status: "COMPLETED" } });
  });
});

it("results that retries have moved to their webhooks count, too, and end the retries of a receiver that is dead", {
  timeout: 60_000,
}, async () => {
  holdCarriers();
  answerUpstreams(() => new Response(null, { status: 500 }));
  const { endpointId } = await makeBroker({ upstreams: [upstream({ slots: 1 })], tenantSharePercent: 1 });
  const webhook = { url: "https://dead.example.com/hook", sealedSecret: "sealed" };
  const call = submission({ tenantId: "greedy", webhook });
  const job = { tenantId: "greedy", jobId: call.jobId };
  const { retries, refusal } = await runInDurableObject(
    env.ENDPOINT_BROKER.getByName(endpointId),
    async (instance, { storage }) => {
      const broker = instance as ReturnType<typeof brokerOf>;
      await broker.submit(call);
      for (let made = 0; ; made += 1) {
        await broker.start();
        const { lease } = storage.sql
          .exec<{ lease: string }>("SELECT facts ->> '$.lease.token' AS lease FROM jobs")
          .one();
        await broker.finish({
          ...job,
          lease,
          outcome: { kind: "handler_error", failure: failed("handler_error", "no"), output: largest },
        });
        const answer = await broker.retry(job);
        if (!answer.ok) return { retries: made, refusal: answer.failure };
      }
    },
  );
  expect(refusal).toMatchObject({ kind: "tenant_share", full: "bytes", max: ONE_PERCENT.bytes });
  expect(retries).toBe(Math.ceil(ONE_PERCENT.bytes / PAYLOAD_ROW_MAX_BYTES));
  await abortAllDurableObjects();
  expect(await submit(endpointId, { tenantId: "greedy" })).toMatchObject({ failure: { kind: "tenant_share" } });
  expect(await submit(endpointId, { tenantId: "another" })).toMatchObject({ ok: true });
  expect(await brokerOf(env, endpointId).retry(job)).toMatchObject({ failure: { kind: "tenant_share" } });
});

describe("a share", () => {
  it("of all of an endpoint ends where the endpoint itself is full", () => {
    const kept = { ...NOTHING_KEPT, rows: ENDPOINT_ROWS_MAX, bytes: ENDPOINT_MAX_BYTES };
    expect(refuseBeyondShare(kept, 1, 100)).toBeNull();
    expect(refuseBeyondShare(kept, 1, 99)).toMatchObject({ kind: "tenant_share", full: "rows" });
  });

  it.each(["rows", "bytes"] as const)(
    "that is full is told by what is full, how much it is, and what to do: %s",
    (full) => {
      const wire = wireOf({ kind: "tenant_share", full, max: 12_345, retryAfterSeconds: 5 });
      expect(wire).toMatchObject({ status: 429, error: "tenant share", headers: { "retry-after": "5" } });
      for (const word of [`12345 ${full}`, "purge", "retention", "larger share"]) expect(wire.message).toContain(word);
    },
  );
});
