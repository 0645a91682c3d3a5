// A whole life of a job, step by step, with the object evicted or aborted before one step, for each step in turn, and then
// before all of them: what the client, the worker, the receiver and the bill are told must not change.
import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { BrokerApi } from "../../src/contract/broker.ts";
import { WEBHOOK_SECRET_PLACE } from "../../src/core/access/sealing.ts";
import { brokerOf } from "../../src/dispatch/broker-client.ts";
import { seal } from "../../src/outbound/credentials.ts";
import { answerUpstreams, makeBroker, submission, upstream } from "../support/broker.ts";

/** So that no result goes before the test has ended. */
const RETENTION_MS = 14 * 86_400_000;
const POLL = { timeout: 8_000, interval: 5 };

afterEach(() => {
  // A test that fails in the middle of a life must not fail the next one as well.
  worlds.length = 0;
  strangers.length = 0;
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** What a step leaves behind: nothing, or a carrier or a waiting call that an eviction would wait for. */
type Leaves = "idle" | "in flight";

interface Step {
  readonly name: string;
  readonly leaves: Leaves;
  readonly take: () => Promise<unknown>;
}

interface World {
  /** Where its worker and its receiver are: a late call counts in the life that it belongs to, and not in the next one. */
  readonly workerUrl: string;
  readonly receiverUrl: string;
  readonly endpointId: string;
  readonly tenantId: string;
  readonly jobId: string;
  /** What the next calls of the upstream answer, and when. */
  readonly upstream: { answer: () => Response; open: boolean; calls: number };
  readonly told: unknown[];
}

/** All lives of a test, and the addresses of calls that name one of their jobs but are neither its worker nor its receiver. */
const worlds: World[] = [];
const strangers: string[] = [];

async function makeWorld(): Promise<{ world: World; broker: () => BrokerApi; submit: () => Promise<unknown> }> {
  const tenantId = `tn-${crypto.randomUUID()}`;
  const { jobId, ...fields } = submission({ tenantId });
  const workerUrl = `http://127.0.0.1:9/${jobId}`;
  const receiverUrl = `https://receiver.example.com/${jobId}`;
  const { endpointId } = await makeBroker({
    tenantId,
    maxAttempts: 1,
    runRetentionMs: RETENTION_MS,
    upstreams: [upstream({ url: workerUrl })],
  });
  const secret = `whsec_${btoa("secret of this test only")}`;
  const sealedSecret = await seal(secret, env.ENCRYPTION_KEY, WEBHOOK_SECRET_PLACE);
  const call = { ...fields, jobId, webhook: { url: receiverUrl, sealedSecret } };
  const world: World = {
    workerUrl,
    receiverUrl,
    endpointId,
    tenantId,
    jobId,
    upstream: { answer: () => Response.json({ ok: true }), open: false, calls: 0 },
    told: [],
  };
  worlds.push(world);
  answerUpstreams(answerAsWorld);
  const broker = () => brokerOf(env, endpointId);
  return { world, broker, submit: () => broker().submit(call) };
}

async function answerAsWorld(request: Request): Promise<Response> {
  const called = worlds.find(({ workerUrl }) => workerUrl === request.url);
  if (called !== undefined) {
    called.upstream.calls += 1;
    while (!called.upstream.open) await scheduler.wait(1);
    return called.upstream.answer();
  }
  const told = worlds.find(({ receiverUrl }) => receiverUrl === request.url);
  if (told !== undefined) told.told.push(await request.json());
  // A file of tests that ran before this one may still have calls under way, to addresses of its own.
  else if (worlds.some(({ jobId }) => request.url.includes(jobId))) strangers.push(request.url);
  return new Response(null, { status: 204 });
}

async function lines(tenantId: string): Promise<unknown[]> {
  const { results } = await env.DB.prepare(
    "SELECT seq, seconds, slots FROM usage_lines WHERE tenant_id = ? ORDER BY seq",
  )
    .bind(tenantId)
    .all();
  return results;
}

/** A client polls meanwhile: an object that was lost with the wake-up is back with the first call to it. */
function polledUntilCalled(world: World, poll: () => Promise<unknown>, calls: number): Promise<number> {
  return vi.waitFor(async () => {
    await poll();
    expect(world.upstream.calls).toBe(calls);
    return calls;
  }, POLL);
}

/** Submitted, started, failed by its handler, called back, retried, completed, called back, billed; then left alone. */
async function lifeOfAJob(): Promise<{ readonly world: World; readonly steps: readonly Step[] }> {
  const { world, broker, submit } = await makeWorld();
  const { tenantId, endpointId, jobId, upstream } = world;
  const job = { tenantId, jobId };
  const read = () => broker().read({ ...job, ttlMs: null });
  const called = (calls: number) => polledUntilCalled(world, read, calls);
  const becomes = (status: string) =>
    vi.waitFor(async () => {
      const answer = await read();
      expect(answer).toMatchObject({ ok: true, value: { status } });
      return answer;
    }, POLL);
  const told = (count: number) =>
    vi.waitFor(() => {
      expect(world.told).toHaveLength(count);
      return world.told.at(-1);
    }, POLL);
  const billed = (count: number) =>
    vi.waitFor(async () => {
      vi.setSystemTime(Date.now() + 1_000);
      await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
      await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(tenantId));
      const found = await lines(tenantId);
      expect(found).toHaveLength(count);
      return found;
    }, POLL);
  const answer = async (response: () => Response, status: string) => {
    upstream.answer = response;
    upstream.open = true;
    const result = await becomes(status);
    upstream.open = false;
    return result;
  };
  const steps: Step[] = [
    { name: "submit", leaves: "in flight", take: submit },
    { name: "the first call of the worker", leaves: "in flight", take: () => called(1) },
    { name: "read while it runs", leaves: "in flight", take: read },
    { name: "health while it runs", leaves: "in flight", take: () => broker().health({ tenantId }) },
    {
      name: "the failure of the worker",
      leaves: "in flight",
      take: () => answer(() => new Response('{"error":"no"}', { status: 422 }), "FAILED"),
    },
    { name: "the first webhook", leaves: "idle", take: () => told(1) },
    { name: "read of the failure", leaves: "idle", take: read },
    { name: "retry", leaves: "in flight", take: () => broker().retry(job) },
    { name: "the second call of the worker", leaves: "in flight", take: () => called(2) },
    { name: "depth", leaves: "in flight", take: () => broker().depth({ tenantId }) },
    { name: "the result", leaves: "in flight", take: () => answer(() => Response.json({ n: [1] }), "COMPLETED") },
    { name: "the second webhook", leaves: "idle", take: () => told(2) },
    { name: "the bill", leaves: "idle", take: () => billed(1) },
    { name: "cancel after the end", leaves: "idle", take: () => broker().cancel(job) },
    { name: "purge after the end", leaves: "idle", take: () => broker().purgeQueue({ tenantId }) },
    { name: "the list", leaves: "idle", take: () => broker().requests({ tenantId }) },
    { name: "health at the end", leaves: "idle", take: () => broker().health({ tenantId }) },
  ];
  return { world, steps };
}

/** Submitted, started, cancelled while it runs, billed for what ran; another one ends by its ttl in the queue. */
async function lifeOfACancel(): Promise<{ readonly world: World; readonly steps: readonly Step[] }> {
  const { world, broker, submit } = await makeWorld();
  const { tenantId, endpointId, jobId, upstream } = world;
  const job = { tenantId, jobId };
  const steps: Step[] = [
    { name: "submit", leaves: "in flight", take: submit },
    {
      name: "the call of the worker",
      leaves: "in flight",
      take: () => polledUntilCalled(world, () => broker().read({ ...job, ttlMs: null }), 1),
    },
    { name: "cancel", leaves: "in flight", take: () => broker().cancel(job) },
    {
      name: "the result that comes too late",
      leaves: "in flight",
      take: async () => {
        upstream.open = true;
        return broker().read({ ...job, ttlMs: null });
      },
    },
    { name: "retry", leaves: "in flight", take: () => broker().retry(job) },
    {
      name: "the webhook",
      leaves: "idle",
      take: () =>
        vi.waitFor(() => {
          expect(world.told).toHaveLength(1);
          return world.told;
        }, POLL),
    },
    {
      name: "the bill",
      leaves: "idle",
      take: () =>
        vi.waitFor(async () => {
          vi.setSystemTime(Date.now() + 1_000);
          await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
          await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(tenantId));
          const found = await lines(tenantId);
          expect(found).toHaveLength(1);
          return found;
        }, POLL),
    },
    { name: "health at the end", leaves: "idle", take: () => broker().health({ tenantId }) },
  ];
  return { world, steps };
}

/** The answers of all steps, with an interruption before those that `interruptedAt` names; times and ids made alike. */
async function answersOf(
  live: () => Promise<{ readonly world: World; readonly steps: readonly Step[] }>,
  interruptedAt: (index: number) => boolean,
): Promise<unknown[]> {
  vi.useFakeTimers({ toFake: ["Date"] });
  const { world, steps } = await live();
  const answers: unknown[] = [];
  for (const [index, step] of steps.entries()) {
    const before = steps[index - 1]?.leaves ?? "idle";
    if (interruptedAt(index)) {
      if (before === "in flight") await abortAllDurableObjects();
      else await evict(world.endpointId);
    }
    const text = JSON.stringify({ step: step.name, answer: (await step.take()) ?? null }, bytesAsText);
    answers.push(JSON.parse(text.replaceAll(world.jobId, "the job").replace(TIMES, '"$1":0')));
  }
  vi.useRealTimers();
  return answers;
}

/** Only an object that runs can be evicted, and nothing may have called this one since it was last aborted. */
async function evict(endpointId: string): Promise<void> {
  await brokerOf(env, endpointId).depth({ tenantId: "nobody" });
  await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
}

const TIMES = /"(delayMs|executionMs|since|delayTime|executionTime|seconds)":\d+/g;

function bytesAsText(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : value;
}

describe.each([
  ["that fails, is retried and completes", lifeOfAJob, 17, { calls: 2, told: 2 }],
  ["that is cancelled while it runs", lifeOfACancel, 8, { calls: 1, told: 1 }],
] as const)("the life of a job %s", (_, live, steps, counts) => {
  it("is the same when its object is lost before any one step, or before each", { timeout: 120_000 }, async () => {
    const expected = await answersOf(live, () => false);
    expect(expected).toHaveLength(steps);
    for (let at = 0; at < steps; at += 1) expect(await answersOf(live, (index) => index === at)).toEqual(expected);
    expect(await answersOf(live, () => true)).toEqual(expected);
    // Each life once more, after all of them: a second call or webhook may have come when its own life had ended.
    for (const { upstream, told } of worlds) expect({ calls: upstream.calls, told: told.length }).toEqual(counts);
    expect(strangers).toEqual([]);
  });
});
