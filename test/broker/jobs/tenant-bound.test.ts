// As many jobs of a tenant as it may run at once, and no more: pushed, pulled and carried by their clients, over starts of the
// object, while other tenants' jobs start beside them.
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { SubmitCall } from "../../../src/contract/broker.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { type Random, seededRandom } from "../../sim/random.ts";
import { holdCarriers, makeBroker, submission, upstream } from "../../support/broker.ts";
import { OUTPUT, pullingWorker, pullOnly } from "../../support/pulling-worker.ts";

const DONE = { kind: "completed", output: OUTPUT } as const;
const bound = { runningMax: 2, version: 1 };

afterEach(() => vi.restoreAllMocks());

async function depthOf(endpointId: string, tenantId = "owner") {
  return brokerOf(env, endpointId).depth({ tenantId });
}

async function submitMany(endpointId: string, many: number, partial: Partial<SubmitCall>): Promise<string[]> {
  const calls = Array.from({ length: many }, () => submission(partial));
  for (const call of calls) expect(await brokerOf(env, endpointId).submit(call)).toMatchObject({ ok: true });
  return calls.map(({ jobId }) => jobId);
}

/** What the client of a waiting job reads of its wait. */
async function queueOf(endpointId: string, jobId: string) {
  const read = await brokerOf(env, endpointId).read({ tenantId: "owner", jobId, ttlMs: null });
  if (!read.ok) throw new Error(`no status: ${read.failure.kind}`);
  return read.value.queue;
}

describe("jobs beyond a tenant's bound", () => {
  it("wait with the reason, start one for each that ends, and hold up no other tenant", async () => {
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 5 })] });
    const jobs = await submitMany(endpointId, 4, { bound });
    await broker.start();
    expect(await depthOf(endpointId)).toEqual({ waiting: 2, running: 2 });
    expect(await queueOf(endpointId, jobs[2] ?? "")).toMatchObject({
      position: 1,
      reason: "TENANT_LIMIT",
      detail: "2 jobs of yours run in this endpoint, as many as may run at once.",
    });
    await submitMany(endpointId, 1, { tenantId: "another" });
    await broker.start();
    expect(await depthOf(endpointId, "another")).toEqual({ waiting: 0, running: 1 });
    const [first] = given;
    if (first === undefined) throw new Error("nothing was started");
    await broker.finish({ ...first, outcome: DONE });
    await broker.start();
    expect(await depthOf(endpointId)).toEqual({ waiting: 1, running: 2 });
  });

  it("wait after a start of the object, too, until it is told of a higher bound", async () => {
    holdCarriers();
    const { endpointId } = await makeBroker({ upstreams: [upstream({ slots: 5 })] });
    const jobs = await submitMany(endpointId, 4, { bound });
    for (let start = 0; start < 3; start += 1) {
      await brokerOf(env, endpointId).start();
      expect(await depthOf(endpointId)).toEqual({ waiting: 2, running: 2 });
      await abortAllDurableObjects();
    }
    const read = (told: { readonly runningMax: number | null; readonly version: number }) =>
      brokerOf(env, endpointId).read({ tenantId: "owner", jobId: jobs[3] ?? "", ttlMs: null, bound: told });
    await read({ runningMax: 3, version: 3 });
    await brokerOf(env, endpointId).start();
    expect(await depthOf(endpointId)).toEqual({ waiting: 1, running: 3 });
    // An edge that still has the tenant of before changes nothing, also after a start.
    await abortAllDurableObjects();
    await read({ runningMax: null, version: 2 });
    await brokerOf(env, endpointId).start();
    expect(await depthOf(endpointId)).toEqual({ waiting: 1, running: 3 });
    await read({ runningMax: null, version: 4 });
    await brokerOf(env, endpointId).start();
    expect(await depthOf(endpointId)).toEqual({ waiting: 0, running: 4 });
  });

  it("are not carried by their clients", async () => {
    holdCarriers();
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 5 })] });
    const partial = { mode: "runsync", carries: true, waitMs: 300_000, bound: { runningMax: 1, version: 1 } } as const;
    const policy = { executionTimeoutMs: 60_000, ttlMs: null, lowPriority: false };
    const claims = [];
    for (let job = 0; job < 3; job += 1) {
      const submitted = await broker.submit(submission({ ...partial, policy }));
      claims.push(submitted.ok && submitted.value.claim !== null);
    }
    expect(claims).toEqual([true, false, false]);
    expect(await depthOf(endpointId)).toEqual({ waiting: 2, running: 1 });
  });

  it("are not handed to pulling workers, whose polls stay open", async () => {
    const { endpointId, broker } = await makeBroker(pullOnly);
    const [first, second, third] = ["w1", "w2", "w3"].map((id) => pullingWorker(broker, id));
    if (first === undefined || second === undefined || third === undefined) throw new Error("there are three workers");
    await submitMany(endpointId, 3, { bound });
    const job = await first.takeOne();
    await second.takeOne();
    const open = third.takeOne();
    expect(await depthOf(endpointId)).toEqual({ waiting: 1, running: 2 });
    await first.done(job.jobId);
    await open;
    expect(await depthOf(endpointId)).toEqual({ waiting: 0, running: 2 });
  });

  it("write one row when the bound is new, and none for tenants without one", async () => {
    holdCarriers();
    const { endpointId } = await makeBroker({ upstreams: [] });
    await submitMany(endpointId, 3, { bound });
    await submitMany(endpointId, 3, { tenantId: "another", bound: { runningMax: null, version: 7 } });
    const rows = await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, state) =>
      state.storage.sql.exec("SELECT * FROM tenant_bounds").toArray(),
    );
    expect(rows).toEqual([{ tenant_id: "owner", version: 1, running_max: 2 }]);
  });
});

/** One step of what may happen to an endpoint; jobs of every tenant come, end in every way, and the object is lost now and then. */
async function takeStep(
  random: Random,
  endpointId: string,
  tenants: ReadonlyMap<string, number | null>,
  given: { readonly jobId: string; readonly lease: string }[],
): Promise<void> {
  const broker = brokerOf(env, endpointId);
  const roll = random.next();
  if (roll < 0.4) {
    const [tenantId, runningMax] = random.pick([...tenants]);
    await broker.submit(submission({ tenantId, bound: { runningMax, version: 1 } }));
  } else if (roll < 0.55) await broker.start();
  else if (roll < 0.6) await abortAllDurableObjects();
  else await finishOne(random, endpointId, given);
}

async function finishOne(
  random: Random,
  endpointId: string,
  given: { readonly jobId: string; readonly lease: string }[],
): Promise<void> {
  if (given.length === 0) return;
  const [carrier] = given.splice(random.integer(0, given.length - 1), 1);
  if (carrier === undefined) return;
  const paused = { kind: "upstream_paused", detail: "429", retryAfterMs: null } as const;
  await brokerOf(env, endpointId).finish({ ...carrier, outcome: random.chance(0.1) ? paused : DONE });
}

it("a raised bound lets jobs start that wait, also where the call that tells of it is refused", async () => {
  const { endpointId, broker } = await makeBroker(pullOnly);
  const [busy, idle] = [pullingWorker(broker, "busy"), pullingWorker(broker, "idle")];
  const jobs = await submitMany(endpointId, 3, { bound: { runningMax: 1, version: 1 } });
  await busy.takeOne();
  const taken = idle.takeOne();
  const raised = { runningMax: null, version: 2 };
  const refused = await brokerOf(env, endpointId).submit(submission({ waitingMax: 1, bound: raised }));
  expect(refused).toMatchObject({ ok: false, failure: { kind: "tenant_limit" } });
  expect(JSON.stringify(await taken)).toContain(jobs[1]);
});

it.each([1, 2, 3, 4])(
  "no bound is exceeded and every job runs in the end: seed %s",
  { timeout: 60_000 },
  async (seed) => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const given = holdCarriers();
    const random = seededRandom(seed);
    const { endpointId } = await makeBroker({
      upstreams: [upstream({ id: "x", slots: 3 }), upstream({ id: "y", slots: 3 })],
    });
    const tenants = new Map([
      ["one", 1],
      ["two", random.integer(2, 4)],
      ["free", null],
    ]);
    const checkDepth = async (): Promise<number> => {
      let left = 0;
      for (const [tenantId, runningMax] of tenants) {
        const { waiting, running } = await depthOf(endpointId, tenantId);
        expect(running).toBeLessThanOrEqual(runningMax ?? 6);
        left += waiting + running;
      }
      return left;
    };
    for (let step = 0; step < 150; step += 1) {
      vi.setSystemTime(Date.now() + random.integer(0, 500));
      await takeStep(random, endpointId, tenants, given);
      await checkDepth();
    }
    await vi.waitFor(
      async () => {
        vi.setSystemTime(Date.now() + 1_500);
        await brokerOf(env, endpointId).start();
        await finishOne(random, endpointId, given);
        expect(await checkDepth()).toBe(0);
      },
      { timeout: 30_000, interval: 1 },
    );
    vi.useRealTimers();
  },
);
