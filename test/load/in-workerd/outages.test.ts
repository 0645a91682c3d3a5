// An upstream in trouble fails no job: the backlog waits, says why, and goes on afterwards.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { answerUpstreams, makeBroker, submission } from "../../support/broker.ts";

const JOBS = 1_000;
const PHASE_STEPS = 30;
const PAUSE_MAX_STEPS = 40;
const owner = { tenantId: "owner" };

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

it("keeps 1,000 jobs through 30 s each of refused connects, 429 and 401", { timeout: 120_000 }, async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  let answer: () => Response = () => {
    throw new Error("Network connection lost.");
  };
  let calls = 0;
  answerUpstreams(() => {
    calls += 1;
    return answer();
  });
  const { endpointId } = await makeBroker();

  /** One second passes; what starts by it has reported when this returns. */
  async function passSecond(): Promise<void> {
    vi.setSystemTime(Date.now() + 1_000);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    await brokerOf(env, endpointId).start();
    await vi.waitFor(async () => expect((await brokerOf(env, endpointId).depth(owner)).running).toBe(0), {
      timeout: 10_000,
      interval: 5,
    });
  }

  const submitted = Array.from({ length: JOBS }, () => submission());
  for (const call of submitted) expect((await brokerOf(env, endpointId).submit(call)).ok).toBe(true);
  const newest = { ...owner, jobId: submitted.at(-1)?.jobId ?? "", ttlMs: null };

  const phases = [
    { reason: "UPSTREAM_PAUSED", detail: "refused", answer },
    {
      reason: "UPSTREAM_PAUSED",
      detail: "429",
      answer: () => new Response("slow down", { status: 429, headers: { "retry-after": "1" } }),
    },
    { reason: "UPSTREAM_UNHEALTHY", detail: "401", answer: () => new Response("who are you", { status: 401 }) },
  ];
  for (const phase of phases) {
    answer = phase.answer;
    calls = 0;
    // The pause of the phase before may last into this one, which begins with its first call.
    for (let second = 0; second < PAUSE_MAX_STEPS && calls === 0; second += 1) await passSecond();
    expect(calls).toBeGreaterThan(0);
    for (let second = 0; second < PHASE_STEPS; second += 1) await passSecond();
    expect(await brokerOf(env, endpointId).read(newest)).toMatchObject({
      ok: true,
      value: { status: "IN_QUEUE", queue: { reason: phase.reason, detail: expect.stringContaining(phase.detail) } },
    });
    const { jobs } = await brokerOf(env, endpointId).health(owner);
    expect(jobs).toEqual({ completed: 0, failed: 0, inProgress: 0, inQueue: JOBS, retried: 0 });
  }

  answer = () => Response.json({ ok: true });
  await vi.waitFor(
    async () => {
      await passSecond();
      const { jobs } = await brokerOf(env, endpointId).health(owner);
      expect(jobs).toEqual({ completed: JOBS, failed: 0, inProgress: 0, inQueue: 0, retried: 0 });
    },
    { timeout: 60_000, interval: 5 },
  );
});
