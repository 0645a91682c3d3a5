// An object of the broker may be evicted or replaced between any two steps: no answer may change by it.
import { abortAllDurableObjects, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { brokerOf } from "../../src/dispatch/broker-client.ts";
import { answerUpstreams, makeBroker, submission } from "../support/broker.ts";

const owner = { tenantId: "owner" };

afterEach(() => vi.restoreAllMocks());

type Interruption = (endpointId: string) => Promise<void>;

const undisturbed: Interruption = async () => {};
const evicted: Interruption = (endpointId) => evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));

/** What a client is told at each step of a job that is submitted, read and cancelled, without its times and its id. */
async function answersOf(interrupt: Interruption): Promise<unknown[]> {
  const { endpointId } = await makeBroker({ upstreams: [] });
  const call = submission();
  const job = { ...owner, jobId: call.jobId };
  const steps = [
    () => brokerOf(env, endpointId).submit(call),
    () => brokerOf(env, endpointId).read({ ...job, ttlMs: null }),
    () => brokerOf(env, endpointId).cancel(job),
    () => brokerOf(env, endpointId).cancel(job),
    () => brokerOf(env, endpointId).read({ ...job, ttlMs: null }),
    () => brokerOf(env, endpointId).health(owner),
  ];
  const answers: unknown[] = [];
  for (const step of steps) {
    await interrupt(endpointId);
    const text = JSON.stringify(await step()).replaceAll(call.jobId, "the job");
    answers.push(JSON.parse(text.replace(/"since":\d+/g, '"since":0')));
  }
  return answers;
}

/** `attempts`, `queue_seq` and `finish_seq` of a job's row. */
async function numbersOf(endpointId: string, jobId: string) {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, state) => {
    const sql = "SELECT queue_seq, finish_seq, json_extract(facts, '$.attempts') AS attempts FROM jobs WHERE uuid = ?";
    return state.storage.sql.exec(sql, jobId.replace(/^sync-/, "").replace(/-u1$/, "")).one();
  });
}

describe("a restart", () => {
  it("between any two steps of a job changes no answer", async () => {
    const expected = await answersOf(undisturbed);
    expect(await answersOf(evicted)).toEqual(expected);
    expect(await answersOf(() => abortAllDurableObjects())).toEqual(expected);
  });

  it("while a Carrier holds the job leaves it one upstream call and one finish", { timeout: 20_000 }, async () => {
    let calls = 0;
    answerUpstreams(async () => {
      calls += 1;
      await scheduler.wait(1_000);
      return Response.json({ ok: true });
    });
    const { endpointId, broker } = await makeBroker();
    const call = submission({ mode: "runsync" });
    await broker.submit(call);
    await vi.waitFor(() => expect(calls).toBe(1), { timeout: 5_000 });
    await abortAllDurableObjects();
    await vi.waitFor(
      async () => {
        const answer = await brokerOf(env, endpointId).read({ ...owner, jobId: call.jobId, ttlMs: null });
        expect(answer).toMatchObject({ ok: true, value: { status: "COMPLETED", retries: 0 } });
      },
      { timeout: 10_000, interval: 100 },
    );
    expect(calls).toBe(1);
    expect(await numbersOf(endpointId, call.jobId)).toEqual({ queue_seq: 1, finish_seq: 1, attempts: 1 });
  });

  it("rejects a wait that is held, and a fresh wait answers", { timeout: 20_000 }, async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    const call = submission();
    await broker.submit(call);
    const job = { ...owner, jobId: call.jobId };
    const held = brokerOf(env, endpointId)
      .wait({ ...job, holdMs: 20_000 })
      .then(
        () => "answered",
        () => "rejected",
      );
    // A later call on the same broker is answered after the wait has begun.
    await brokerOf(env, endpointId).depth(owner);
    await abortAllDurableObjects();
    expect(await held).toBe("rejected");
    const fresh = brokerOf(env, endpointId).wait({ ...job, holdMs: 10_000 });
    await brokerOf(env, endpointId).cancel(job);
    expect(await fresh).toMatchObject({ ok: true, value: { status: "CANCELLED" } });
  });

  it.each([
    ["undisturbed", undisturbed],
    ["after an eviction", evicted],
    ["after an abort", () => abortAllDurableObjects()],
  ])("does not move a tenant's limit: %s", async (_, interrupt) => {
    const { endpointId } = await makeBroker({ upstreams: [] });
    const submit = (tenantId: string) => {
      const call = submission({ tenantId, waitingMax: 3 });
      return brokerOf(env, endpointId)
        .submit(call)
        .then((answer) => ({ answer, jobId: call.jobId }));
    };
    const jobs = [await submit("owner"), await submit("owner"), await submit("owner")];
    for (const { answer } of jobs) expect(answer.ok).toBe(true);
    await interrupt(endpointId);
    expect((await submit("owner")).answer).toMatchObject({ ok: false, failure: { kind: "tenant_limit" } });
    await interrupt(endpointId);
    expect((await submit("another")).answer.ok).toBe(true);
    await brokerOf(env, endpointId).cancel({ ...owner, jobId: jobs[1]?.jobId ?? "" });
    await interrupt(endpointId);
    expect((await submit("owner")).answer.ok).toBe(true);
    expect((await submit("owner")).answer).toMatchObject({ ok: false, failure: { kind: "tenant_limit" } });
  });

  it("keeps a purge, and a job after it has a number and a life of its own", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    const purged = [submission(), submission(), submission()];
    for (const call of purged) await broker.submit(call);
    expect(await broker.purgeQueue(owner)).toEqual({ removed: 3 });
    await abortAllDurableObjects();
    for (const { jobId } of purged) {
      const answer = await brokerOf(env, endpointId).read({ ...owner, jobId, ttlMs: null });
      expect(answer).toMatchObject({ ok: true, value: { status: "CANCELLED" } });
    }
    expect(await brokerOf(env, endpointId).depth(owner)).toEqual({ waiting: 0, running: 0 });
    const later = submission();
    await brokerOf(env, endpointId).submit(later);
    await evicted(endpointId);
    const answer = await brokerOf(env, endpointId).read({ ...owner, jobId: later.jobId, ttlMs: null });
    expect(answer).toMatchObject({ ok: true, value: { status: "IN_QUEUE" } });
    expect(await numbersOf(endpointId, later.jobId)).toMatchObject({ queue_seq: 4 });
  });

  it("gives no id, attempt or queue number a second time", { timeout: 30_000 }, async () => {
    answerUpstreams(() => Response.json({ error: "the handler said no" }, { status: 500 }));
    const { endpointId } = await makeBroker({ maxAttempts: 1 });
    const call = submission({ mode: "runsync" });
    const job = { ...owner, jobId: call.jobId };
    const failed = (attempts: number) =>
      vi.waitFor(
        async () => {
          const answer = await brokerOf(env, endpointId).read({ ...job, ttlMs: null });
          expect(answer).toMatchObject({ ok: true, value: { status: "FAILED" } });
          expect(await numbersOf(endpointId, call.jobId)).toMatchObject({ queue_seq: attempts, attempts });
        },
        { timeout: 8_000, interval: 50 },
      );
    await brokerOf(env, endpointId).submit(call);
    await failed(1);
    await abortAllDurableObjects();
    await brokerOf(env, endpointId).retry(job);
    await failed(2);
    await evicted(endpointId);
    const other = submission({ mode: "runsync" });
    await brokerOf(env, endpointId).submit(other);
    expect(await numbersOf(endpointId, other.jobId)).toMatchObject({ queue_seq: 3 });
    // A submit that the edge sends again, because the answer to the first was lost, makes nothing new.
    expect(await brokerOf(env, endpointId).submit(call)).toMatchObject({
      ok: true,
      value: { job: { id: call.jobId, status: "FAILED" } },
    });
    expect(await numbersOf(endpointId, call.jobId)).toMatchObject({ queue_seq: 2, attempts: 2 });
  });
});
