// Many jobs cancelled or retried by one filter: each as by the call for it alone, step by step.
import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { BrokerApi, CallOf, SubmitCall } from "../../../src/contract/broker.ts";
import { failed } from "../../../src/core/job/failure.ts";
import { JOBS_LISTED_MAX } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { Carrier } from "../../../src/dispatch/carrier.ts";
import { holdCarriers, makeBroker, submission, upstream } from "../../support/broker.ts";
import { keptOf } from "../../support/kept.ts";
import { inBroker } from "../../support/kept-jobs.ts";

const OWNER = { tenantId: "owner" };

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

type Call = CallOf<"changeJobs">;

function change(broker: BrokerApi, action: Call["action"], partial: Partial<Call> = {}) {
  const call = { ...OWNER, action, filter: {}, before: null, limit: JOBS_LISTED_MAX, waitingMax: 1_000_000 };
  return broker.changeJobs({ ...call, ...partial });
}

const cancel = (broker: BrokerApi, partial: Partial<Call> = {}) => change(broker, "cancel", partial);
const retry = (broker: BrokerApi, partial: Partial<Call> = {}) => change(broker, "retry", partial);
const tagged = (order: string) => ({ fields: { metadata: JSON.stringify({ order }) } });

async function submit(broker: BrokerApi, partial: Partial<SubmitCall> = {}): Promise<string> {
  const call = submission(partial);
  expect(await broker.submit(call)).toMatchObject({ ok: true });
  return call.jobId;
}

/** The status of each of the tenant's jobs that is kept, by its id. */
async function statusesOf(broker: BrokerApi, tenantId = "owner"): Promise<Record<string, string>> {
  const { jobs } = await broker.listJobs({ tenantId, filter: {}, before: null, limit: JOBS_LISTED_MAX });
  return Object.fromEntries(jobs.map(({ id, status }) => [id, status]));
}

/** A broker with so many FAILED jobs of one attempt, and no upstream that would take them again. */
async function makeFailed(count: number, partial: Partial<SubmitCall> = {}) {
  const carriers = holdCarriers();
  const made = await makeBroker({ maxAttempts: 1, upstreams: [upstream({ slots: count })] });
  const ids: string[] = [];
  for (let at = 0; at < count; at += 1) ids.unshift(await submit(made.broker, partial));
  await made.broker.start();
  await vi.waitFor(() => expect(carriers).toHaveLength(count));
  const failure = failed("handler_error", "no");
  for (const carrier of carriers) {
    await made.broker.finish({ ...carrier, outcome: { kind: "handler_error", failure, output: null } });
  }
  await inBroker(made.endpointId, (_, { sql }) => {
    sql.exec("UPDATE settings SET json = json_set(json, '$.paused', json('true'))");
  });
  await evictDurableObject(env.ENDPOINT_BROKER.getByName(made.endpointId));
  return { endpointId: made.endpointId, broker: brokerOf(env, made.endpointId), ids };
}

describe("many jobs cancelled at once", () => {
  it("are those that wait or run, and none that has ended", async () => {
    const carriers = holdCarriers();
    const { broker } = await makeBroker({ upstreams: [upstream({ slots: 2 })], maxAttempts: 1 });
    const [first, second, third] = [await submit(broker), await submit(broker), await submit(broker)];
    await broker.start();
    await vi.waitFor(() => expect(carriers).toHaveLength(2));
    const [done] = carriers;
    if (done !== undefined) await broker.finish({ ...done, outcome: { kind: "completed", output: null } });
    const [completed, running] = done?.jobId === first ? [first, second] : [second, first];
    const page = { scanned: 3, next: null };
    expect(await cancel(broker)).toEqual({ changed: 2, refused: 0, refusal: null, ...page });
    const statuses = { [completed]: "COMPLETED", [running]: "CANCELLED", [third]: "CANCELLED" };
    expect(await statusesOf(broker)).toEqual(statuses);
    expect(await broker.depth(OWNER)).toEqual({ waiting: 0, running: 0 });
    expect(await cancel(broker)).toEqual({ changed: 0, refused: 0, refusal: null, ...page });
    expect(await statusesOf(broker)).toEqual(statuses);
  });

  it("are those that the filter names, and the caller's own", async () => {
    const { broker } = await makeBroker({ upstreams: [] });
    const wanted = await submit(broker, tagged("7"));
    const other = await submit(broker, tagged("8"));
    const foreign = await submit(broker, { tenantId: "another", ...tagged("7") });
    expect(
      await cancel(broker, { filter: { metadata: { order: "7" }, status: ["IN_QUEUE", "FAILED"] } }),
    ).toMatchObject({
      changed: 1,
      scanned: 3,
    });
    expect(await statusesOf(broker)).toEqual({ [wanted]: "CANCELLED", [other]: "IN_QUEUE" });
    expect(await statusesOf(broker, "another")).toEqual({ [foreign]: "IN_QUEUE" });
    expect(await cancel(broker, { filter: { status: ["FAILED"] } })).toMatchObject({ changed: 0 });
  });

  it("wake who waits for them, stop their upstreams and send their webhooks", async () => {
    const carriers = holdCarriers();
    const stopped: unknown[] = [];
    vi.spyOn(Carrier.prototype, "stop").mockImplementation(async (stop) => void stopped.push(stop));
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ dialect: "runpod" })] });
    const webhook = { url: "https://receiver.example.com/", sealedSecret: "sealed" };
    const jobId = await submit(broker, { webhook });
    await broker.start();
    await vi.waitFor(() => expect(carriers).toHaveLength(1));
    for (const carrier of carriers) await broker.noteUpstreamJob({ ...carrier, upstreamJobId: "theirs" });
    const waiting = broker.wait({ ...OWNER, jobId, holdMs: 20_000 });
    expect(await cancel(broker)).toMatchObject({ changed: 1 });
    expect(await waiting).toMatchObject({ ok: true, value: { status: "CANCELLED" } });
    await vi.waitFor(() => expect(stopped).toHaveLength(1));
    const owed = "SELECT count(*) AS owed FROM jobs WHERE webhook_next_at IS NOT NULL";
    expect(await inBroker(endpointId, (_, { sql }) => sql.exec(owed).one())).toEqual({ owed: 1 });
  });

  it("are 100 in one step at most, and the next step goes on where it ended, with memory as the rows are", {
    timeout: 30_000,
  }, async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    await inBroker(endpointId, async (within) => {
      for (let made = 0; made < 250; made += 1) await within.submit(submission());
    });
    const steps: { changed: number; scanned: number }[] = [];
    let before: string | null = null;
    do {
      const { changed, scanned, next } = await cancel(broker, { before, limit: 1_000 });
      steps.push({ changed, scanned });
      before = next;
    } while (before !== null);
    expect(steps).toEqual([100, 100, 50].map((changed) => ({ changed, scanned: changed })));
    expect(await broker.depth(OWNER)).toEqual({ waiting: 0, running: 0 });
    const { rows, start, memory } = await keptOf(endpointId, ["owner"]);
    expect(rows).toMatchObject({ rows: 250, live: [] });
    expect(start).toEqual(rows);
    expect(memory).toEqual(rows.tallies);
  });

  it("leave other calls their turns", { timeout: 30_000 }, async () => {
    const { endpointId } = await makeBroker({ upstreams: [] });
    await inBroker(endpointId, async (broker) => {
      for (let made = 0; made < 100; made += 1) await broker.submit(submission());
      const seen: number[] = [];
      let isDone = false;
      const cancelled = cancel(broker).finally(() => {
        isDone = true;
      });
      while (!isDone) {
        await scheduler.wait(0);
        seen.push((await broker.depth(OWNER)).waiting);
      }
      expect(await cancelled).toMatchObject({ changed: 100 });
      expect(seen.filter((waiting) => waiting > 0 && waiting < 100).length).toBeGreaterThan(0);
    });
  });
});

describe("many jobs retried at once", () => {
  it("are the FAILED ones, each once", async () => {
    const { broker, ids } = await makeFailed(3);
    const waiting = await submit(broker);
    expect(await retry(broker)).toEqual({ changed: 3, refused: 0, refusal: null, scanned: 4, next: null });
    const queued = Object.fromEntries([...ids, waiting].map((id) => [id, "IN_QUEUE"]));
    expect(await statusesOf(broker)).toEqual(queued);
    expect(await broker.depth(OWNER)).toEqual({ waiting: 4, running: 0 });
    expect(await retry(broker)).toMatchObject({ changed: 0, refused: 0 });
    expect(await broker.depth(OWNER)).toEqual({ waiting: 4, running: 0 });
  });

  it("are those with the failure that the filter names", async () => {
    const { broker } = await makeFailed(2);
    expect(await retry(broker, { filter: { errorCode: "worker_lost" } })).toMatchObject({ changed: 0, scanned: 2 });
    expect(await retry(broker, { filter: { errorCode: "handler_error" } })).toMatchObject({ changed: 2 });
  });

  it("stop at the tenant's limit of waiting jobs: the others are refused, with the reason, and stay FAILED", async () => {
    const { broker, ids } = await makeFailed(3);
    const [newest = "", second = "", oldest = ""] = ids;
    const answer = await retry(broker, { waitingMax: 1 });
    expect(answer).toMatchObject({ changed: 1, refused: 2, scanned: 3, next: null });
    expect(answer.refusal).toMatchObject({ kind: "tenant_limit", waitingMax: 1 });
    expect(await statusesOf(broker)).toEqual({ [newest]: "IN_QUEUE", [second]: "FAILED", [oldest]: "FAILED" });
    expect(await retry(broker, { waitingMax: 3 })).toMatchObject({ changed: 2, refused: 0, refusal: null });
  });

  it("run again where an upstream has room", async () => {
    const carriers = holdCarriers();
    const { broker } = await makeBroker({ maxAttempts: 1 });
    const jobId = await submit(broker);
    await broker.start();
    await vi.waitFor(() => expect(carriers).toHaveLength(1));
    const failure = failed("handler_error", "no");
    const [carrier] = carriers;
    if (carrier !== undefined)
      await broker.finish({ ...carrier, outcome: { kind: "handler_error", failure, output: null } });
    expect(await retry(broker)).toMatchObject({ changed: 1 });
    await vi.waitFor(() => expect(carriers).toHaveLength(2), { timeout: 10_000 });
    expect(await broker.read({ ...OWNER, jobId, ttlMs: null })).toMatchObject({ value: { status: "IN_PROGRESS" } });
  });
});
