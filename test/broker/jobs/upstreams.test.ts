// What a broker puts on its upstreams: never more than their slots, not where a job has failed, and nothing that is cancelled.
import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Assignment } from "../../../src/contract/dispatch.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { Carrier } from "../../../src/dispatch/carrier.ts";
import { answerUpstreams, holdCarriers, makeBroker, settings, submission, upstream } from "../../support/broker.ts";

const POLL = { timeout: 10_000, interval: 10 };

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("an upstream of one slot", () => {
  it("is hung up on within two seconds of a cancel, and only then gets the next job", { timeout: 20_000 }, async () => {
    let atOnce = 0;
    let most = 0;
    let calls = 0;
    let hungUp = false;
    vi.spyOn(globalThis, "fetch").mockImplementation(async (_, init) => {
      calls += 1;
      atOnce += 1;
      most = Math.max(most, atOnce);
      const signal = init instanceof Object && "signal" in init ? init.signal : null;
      while (calls === 1 && signal?.aborted !== true) await scheduler.wait(5);
      hungUp = true;
      // A worker takes a moment to stop.
      await scheduler.wait(20);
      atOnce -= 1;
      return Response.json({ ok: true });
    });
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 1 })] });
    const first = submission({ mode: "runsync" });
    await broker.submit(first);
    await vi.waitFor(() => expect(atOnce).toBe(1), POLL);
    const cancelledMs = Date.now();
    await broker.cancel({ tenantId: "owner", jobId: first.jobId });
    const second = submission({ mode: "runsync" });
    await broker.submit(second);
    expect(hungUp).toBe(false);
    await vi.waitFor(() => expect(hungUp).toBe(true), POLL);
    expect(Date.now() - cancelledMs).toBeLessThan(2_000);
    await vi.waitFor(async () => {
      const answer = await brokerOf(env, endpointId).read({ tenantId: "owner", jobId: second.jobId, ttlMs: null });
      expect(answer).toMatchObject({ ok: true, value: { status: "COMPLETED" } });
    }, POLL);
    expect(calls).toBe(2);
    expect(most).toBeLessThanOrEqual(2);
  });

  it("is not used again for a cancelled job's slot before its carrier has let go", async () => {
    const given = holdCarriers();
    const { broker } = await makeBroker({ upstreams: [upstream({ slots: 1 })] });
    const first = submission({ mode: "runsync" });
    await broker.submit(first);
    await vi.waitFor(() => expect(given).toHaveLength(1));
    await broker.cancel({ tenantId: "owner", jobId: first.jobId });
    await broker.submit(submission({ mode: "runsync" }));
    expect(await broker.start()).toEqual({ started: 0 });
    await broker.letGo({ lease: given[0]?.lease ?? "" });
    await vi.waitFor(() => expect(given).toHaveLength(2), POLL);
  });
});

describe("an upstream that answers 500 at once", () => {
  it("fails no job while a sound one is there", { timeout: 30_000 }, async () => {
    answerUpstreams(async (request) => {
      if (request.url.endsWith("/bad")) return new Response("boom", { status: 500 });
      await scheduler.wait(50);
      return Response.json({ ok: true });
    });
    const { broker } = await makeBroker({
      upstreams: [
        upstream({ id: "bad", url: "http://127.0.0.1:9/bad", slots: 4 }),
        upstream({ id: "sound", url: "http://127.0.0.1:9/sound", slots: 4 }),
      ],
    });
    for (let made = 0; made < 12; made += 1) await broker.submit(submission());
    await vi.waitFor(
      async () => {
        const { jobs } = await broker.health({ tenantId: "owner" });
        expect(jobs).toMatchObject({ completed: 12, failed: 0 });
      },
      { timeout: 25_000, interval: 100 },
    );
  });
});

describe("a job that its upstream always refuses", () => {
  it("holds up none of its peers: the next trial is another one's", { timeout: 20_000 }, async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    answerUpstreams(async (request) => {
      const text = await request.text();
      return text.includes("poison") ? new Response("busy", { status: 429 }) : Response.json({ ok: true });
    });
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 1 })] });
    const poison = submission({ input: { kind: "inline", bytes: new TextEncoder().encode('"poison"') } });
    await broker.submit(poison);
    for (let made = 0; made < 5; made += 1) await broker.submit(submission());
    await vi.waitFor(async () => {
      vi.setSystemTime(Date.now() + 1_000);
      await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
      expect((await brokerOf(env, endpointId).health({ tenantId: "owner" })).jobs.completed).toBe(5);
    }, POLL);
    expect(await brokerOf(env, endpointId).read({ tenantId: "owner", jobId: poison.jobId, ttlMs: null })).toMatchObject(
      {
        ok: true,
        value: { status: "IN_QUEUE", retries: 0 },
      },
    );
  });
});

describe("a purge", () => {
  it("stops the upstream's run of a job that waits to take it up again", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const given = holdCarriers();
    const stopped: string[] = [];
    vi.spyOn(Carrier.prototype, "stop").mockImplementation(async ({ upstreamJobId }) => {
      stopped.push(upstreamJobId);
    });
    const upstreams = [upstream({ slots: 1, dialect: "runpod" })];
    const { endpointId } = await makeBroker({ upstreams });
    const made = settings({ endpointId, upstreams });
    const broker = () => brokerOf(env, endpointId);
    await broker().submit(submission({ mode: "runsync" }));
    await vi.waitFor(() => expect(given).toHaveLength(1));
    const [first] = given;
    if (first === undefined) throw new Error("no carrier was started");
    await broker().noteUpstreamJob({ ...first, upstreamJobId: "run-of-theirs" });
    await abortAllDurableObjects();
    await broker().configure({ ...made, version: 2, paused: true });
    vi.setSystemTime(Date.now() + 40_000);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    expect(await broker().purgeQueue({ tenantId: "owner" })).toEqual({ removed: 1 });
    await vi.waitFor(() => expect(stopped).toEqual(["run-of-theirs"]), POLL);
  });
});

describe("an input that makes its worker answer as if it were misconfigured", () => {
  it.each([401, 403, 404, 405, 302])("with %i fails its own job, unbilled, and no other one waits", async (status) => {
    answerUpstreams(async (request) => {
      const text = await request.text();
      if (text === "") return new Response("no job", { status: 422 });
      const headers = { location: "https://elsewhere.example.org/" };
      return text.includes("poison") ? new Response("not you", { status, headers }) : Response.json({ ok: true });
    });
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 2 })] });
    const poison = submission({
      mode: "runsync",
      input: { kind: "inline", bytes: new TextEncoder().encode('"poison"') },
    });
    const peer = submission({ mode: "runsync" });
    await broker.submit(poison);
    await broker.submit(peer);
    const look = (jobId: string) => brokerOf(env, endpointId).read({ tenantId: "owner", jobId, ttlMs: null });
    await vi.waitFor(async () => expect(await look(poison.jobId)).toMatchObject({ value: { status: "FAILED" } }), POLL);
    expect(await look(poison.jobId)).toMatchObject({ value: { error: expect.stringContaining(String(status)) } });
    const startedMs = Date.now();
    await vi.waitFor(
      async () => expect(await look(peer.jobId)).toMatchObject({ value: { status: "COMPLETED" } }),
      POLL,
    );
    expect(Date.now() - startedMs).toBeLessThan(2_000);
    expect((await broker.health({ tenantId: "owner" })).workers).toMatchObject({ unhealthy: 0, throttled: 0 });
  });
});

describe("a hand-over", () => {
  it("gives the same lease, the upstream's id and what is left of the time to another carrier", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const assignments: Assignment[] = [];
    const endpointId = `ep-${crypto.randomUUID()}`;
    vi.spyOn(Carrier.prototype, "carry").mockImplementation(async (assignment) => {
      // The job that is always refused, above, is still tried again from time to time.
      if (assignment.endpointId === endpointId) assignments.push(assignment);
    });
    const { broker } = await makeBroker({
      endpointId,
      upstreams: [upstream({ dialect: "runpod" })],
      executionTimeoutMs: 86_400_000,
    });
    const call = submission({ mode: "runsync" });
    await broker.submit(call);
    await vi.waitFor(() => expect(assignments).toHaveLength(1));
    const [first] = assignments;
    if (first === undefined) throw new Error("no carrier was started");
    const held = { jobId: first.jobId, lease: first.lease };
    // The broker hears of the id only now: the carrier could not tell it before.
    const handed = { ...held, upstreamJobId: "run-of-theirs" };
    vi.setSystemTime(Date.now() + 20_000);
    expect(await broker.handOver(handed)).toBe(true);
    await vi.waitFor(() => expect(assignments).toHaveLength(2));
    expect(assignments[1]).toMatchObject({ ...held, upstreamJobId: "run-of-theirs" });
    const leftMs = assignments[1]?.executionTimeoutMs ?? 0;
    expect(86_400_000 - leftMs).toBeGreaterThanOrEqual(20_000);
    expect(86_400_000 - leftMs).toBeLessThan(30_000);
    await broker.finish({ ...held, outcome: { kind: "completed", output: null } });
    expect(await broker.handOver(handed)).toBe(false);
  });
});

describe("a job that its hosted upstream may still run", () => {
  it("says that it waits for that one, though another one has room", async () => {
    vi.spyOn(Object.getPrototypeOf(env.DISPATCH), "send").mockResolvedValue(undefined);
    const given = holdCarriers();
    const hosted = { dialect: "runpod", slots: 1 } as const;
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ ...hosted, id: "u1" })] });
    const call = submission();
    await broker.submit(call);
    await broker.start();
    await vi.waitFor(() => expect(given).toHaveLength(1));
    const held = { jobId: call.jobId, lease: given[0]?.lease ?? "" };
    expect(await broker.noteUpstreamJob({ ...held, upstreamJobId: "up-1" })).toBe(true);
    const upstreams = ["u1", "u2"].map((id) => upstream({ ...hosted, id }));
    await broker.configure(settings({ endpointId, version: 2, upstreams }));
    const detail = "The upstream answered 401.";
    await broker.finish({ ...held, outcome: { kind: "upstream_unhealthy", detail } });
    await broker.start();
    const read = await broker.read({ tenantId: "owner", jobId: call.jobId, ttlMs: null });
    expect(read).toMatchObject({
      ok: true,
      value: { status: "IN_QUEUE", queue: { reason: "UPSTREAM_UNHEALTHY", detail } },
    });
  });
});
