// Jobs that their client's own request carries: when that may be, and what becomes of one whose client is lost.

import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { SubmitCall, Submitted } from "../../../src/contract/broker.ts";
import { openAiOrigin } from "../../../src/contract/openai-origin.ts";
import { failed } from "../../../src/core/job/failure.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { holdCarriers, makeBroker, submission, upstream } from "../../support/broker.ts";
import { openAiRequest } from "../../support/openai-request.ts";

const POLL = { timeout: 10_000, interval: 10 };
const CHAT = openAiOrigin(openAiRequest());

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

type Broker = Awaited<ReturnType<typeof makeBroker>>["broker"];

async function submit(broker: Broker, partial: Partial<SubmitCall>): Promise<Submitted> {
  const answer = await broker.submit(submission({ mode: "runsync", carries: true, waitMs: 90_000, ...partial }));
  if (!answer.ok) throw new Error(answer.failure.kind);
  return answer.value;
}

const timeout = (executionTimeoutMs: number) => ({ executionTimeoutMs, ttlMs: null, lowPriority: false });

describe("a client's own request", () => {
  it("carries its job when the execution timeout ends before its wait, and no carrier is started", async () => {
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker();
    const { claim, job } = await submit(broker, { policy: timeout(90_000) });
    expect(claim).toMatchObject({ endpointId, jobId: job.id, upstream: { id: "u1" }, executionTimeoutMs: 90_000 });
    expect(job.status).toBe("IN_PROGRESS");
    expect((await submit(broker, { policy: timeout(90_001) })).claim).toBeNull();
    await vi.waitFor(() => expect(given).toHaveLength(1), POLL);
  });

  it("carries it when all but one in a hundred of the endpoint's jobs end in half of the wait", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    holdCarriers();
    const { broker } = await makeBroker();
    const run = async (tookMs: number): Promise<void> => {
      const { claim } = await submit(broker, { policy: timeout(5_000), waitMs: 5_000 });
      if (claim === null) throw new Error("not claimed");
      vi.setSystemTime(Date.now() + tookMs);
      await broker.finish({ jobId: claim.jobId, lease: claim.lease, outcome: { kind: "completed", output: null } });
    };
    for (let n = 0; n < 99; n += 1) await run(10);
    expect((await submit(broker, {})).claim).toBeNull();
    await run(10);
    expect((await submit(broker, { waitMs: 1_000 })).claim).not.toBeNull();
    expect((await submit(broker, { waitMs: 20 })).claim).toBeNull();
  });

  it("does not carry it where jobs run into their timeout, however fast the other ones are", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    holdCarriers();
    const { broker } = await makeBroker();
    for (let n = 0; n < 120; n += 1) {
      const { claim } = await submit(broker, { policy: timeout(90_000) });
      if (claim === null) throw new Error("not claimed");
      const isSlow = n % 20 === 0;
      vi.setSystemTime(Date.now() + (isSlow ? 20_000 : 10));
      const outcome = isSlow ? ({ kind: "timed_out" } as const) : ({ kind: "completed", output: null } as const);
      expect(await broker.finish({ jobId: claim.jobId, lease: claim.lease, outcome })).toMatchObject({
        accepted: true,
      });
    }
    expect((await submit(broker, { waitMs: 30_000 })).claim).toBeNull();
  });

  it("carries every job of an OpenAI route, which ends with its client anyway", async () => {
    holdCarriers();
    const { broker } = await makeBroker();
    const { claim } = await submit(broker, { origin: CHAT, waitMs: null, policy: timeout(600_000) });
    expect(claim).toMatchObject({ origin: CHAT });
  });

  it("carries nothing while no slot is free, or for who cannot carry", async () => {
    holdCarriers();
    const { broker } = await makeBroker({ upstreams: [upstream({ slots: 1 })] });
    expect((await submit(broker, { origin: CHAT, carries: false })).claim).toBeNull();
    expect((await submit(broker, { origin: CHAT })).claim).toBeNull();
  });

  it.each([
    ["", null],
    [" with its Idempotency-Key", { key: "again", fingerprint: "f" }],
  ])(
    "that is repeated%s because its answer was lost carries the job under the very same lease",
    async (_, idempotency) => {
      const given = holdCarriers();
      const { broker } = await makeBroker();
      const { jobId } = submission({ mode: "runsync" });
      const call = { jobId, policy: timeout(90_000), idempotency };
      const { claim } = await submit(broker, call);
      expect(claim).not.toBeNull();
      expect((await submit(broker, call)).claim).toEqual({
        ...claim,
        ttlLeftMs: expect.any(Number),
        executionTimeoutMs: expect.any(Number),
      });
      expect(given).toEqual([]);
    },
  );

  it("of another call with the same Idempotency-Key only waits", async () => {
    holdCarriers();
    const { broker } = await makeBroker();
    const idempotency = { key: "again", fingerprint: "f" };
    expect((await submit(broker, { policy: timeout(90_000), idempotency })).claim).not.toBeNull();
    expect((await submit(broker, { policy: timeout(90_000), idempotency })).claim).toBeNull();
  });
});

describe("a job whose client's request is lost in the middle", () => {
  it("is run again by the queue, counts as no attempt, and is billed once", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker({ maxAttempts: 1 });
    const { claim, job } = await submit(broker, { policy: timeout(90_000) });
    if (claim === null) throw new Error("not claimed");
    vi.setSystemTime(Date.now() + 31_000);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    await vi.waitFor(() => expect(given).toHaveLength(1), POLL);
    const [again] = given;
    if (again === undefined) throw new Error("no carrier");
    expect(again.jobId).toBe(job.id);
    const late = { jobId: claim.jobId, lease: claim.lease, outcome: { kind: "completed", output: null } } as const;
    expect((await broker.finish(late)).accepted).toBe(false);
    vi.setSystemTime(Date.now() + 1_500);
    expect(await brokerOf(env, endpointId).finish({ ...again, outcome: late.outcome })).toMatchObject({
      accepted: true,
      job: { status: "COMPLETED", executionMs: expect.closeTo(1_500, -2), retries: 0 },
    });
  });

  it("of an OpenAI route is not run again for nobody, and costs nothing", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker();
    const { job } = await submit(broker, { origin: CHAT, waitMs: null });
    vi.setSystemTime(Date.now() + 31_000);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    expect(await brokerOf(env, endpointId).read({ tenantId: "owner", jobId: job.id, ttlMs: null })).toMatchObject({
      ok: true,
      value: { status: "FAILED", error: "the request of the client that carried the job was lost" },
    });
    expect(given).toEqual([]);
  });

  it("is carried by us from then on, and a loss of ours counts as ever", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker({ maxAttempts: 100 });
    const { job } = await submit(broker, { policy: timeout(90_000) });
    vi.setSystemTime(Date.now() + 31_000);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    // From the second time on a carrier of ours has it, whose loss counts as an attempt.
    await vi.waitFor(() => expect(given).toHaveLength(1), POLL);
    vi.setSystemTime(Date.now() + 31_000);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    const read = await broker.read({ tenantId: "owner", jobId: job.id, ttlMs: null });
    expect(read).toMatchObject({ ok: true, value: { status: "IN_QUEUE", retries: 1 } });
  });
});

describe("a job that ends with its client", () => {
  it.each([
    ["abandoned", { kind: "abandoned", tokens: { prompt: 3, completion: 1, estimated: true } }, "CANCELLED"],
    ["cut_short", { kind: "cut_short", failure: failed("bad_answer", "broke off") }, "FAILED"],
  ] as const)("%s is over, and its slot is free at once", async (_name, outcome, status) => {
    holdCarriers();
    const { broker } = await makeBroker({ upstreams: [upstream({ slots: 1 })] });
    const { claim } = await submit(broker, { origin: CHAT });
    if (claim === null) throw new Error("not claimed");
    const finished = await broker.finish({ jobId: claim.jobId, lease: claim.lease, outcome });
    expect(finished).toMatchObject({ accepted: true, job: { status } });
    expect((await submit(broker, { origin: CHAT })).claim).not.toBeNull();
  });
});
