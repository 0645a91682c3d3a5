// A load-balanced endpoint whose workers come and go by themselves: its requests wait for the first one, each new one is known by its /ping,
// and none is ended while a request runs on it.
import { abortAllDurableObjects } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FleetSettings } from "../../../src/contract/fleet.ts";
import type { EndpointSettings } from "../../../src/contract/settings.ts";
import { START_JUDGED_MS } from "../../../src/core/fleet/limits.ts";
import type { ProbedHealth } from "../../../src/core/lb/pool.ts";
import { LB_RECALL_MS, LB_RENEW_MS, LB_SICK_AFTER_MS } from "../../../src/core/limits.ts";
import { Prober } from "../../../src/dispatch/prober.ts";
import { ACTIVE_RATE, activeRate, makeActive } from "../../support/active.ts";
import { upstream } from "../../support/broker.ts";
import { fleet, type HeldProvider, holdProvider } from "../../support/held-provider.ts";
import { answerPings, lbRequest } from "../../support/load-balanced.ts";
import { passTime } from "../../support/pulling-worker.ts";
import { evict } from "../../support/quiet.ts";

let provider: HeldProvider;
/** What every worker answers to /ping. */
let health: ProbedHealth;
let pinged: string[];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  provider = holdProvider();
  provider.url = "http://worker.test";
  health = "ready";
  pinged = answerPings(() => health);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function makeLbFleet(partial: Partial<FleetSettings> = {}, more: Partial<EndpointSettings> = {}) {
  const rates = [activeRate(), { ...activeRate(), kind: "flex" as const, nanodollarsPerSecond: 160_000 }];
  const made = await makeActive({ kind: "load_balancer", upstreams: [], rates, fleet: fleet(partial), ...more });
  const { endpointId, tenantId, broker } = made;
  return {
    ...made,
    request: (affinity = "") => lbRequest(endpointId, { tenantId, affinity }),
    pass: (ms: number) => passTime(endpointId, ms),
    workers: () => broker().listWorkers({ tenantId }),
  };
}

const created = (times: number) => vi.waitFor(() => expect(provider.called("create")).toHaveLength(times));
const ended = (times: number) => vi.waitFor(() => expect(provider.called("end")).toHaveLength(times));
const machineOf = (at: number) => provider.called("create")[at]?.machine?.instanceId ?? "";

/** Machines of earlier tests may be asked, too. */
const pingsOf = (machineId: string) => pinged.filter((id) => id === machineId).length;

/** The timer that asks workers is real, and the clock it goes by is not: it is moved on until something holds. */
async function asTimePasses(check: () => unknown): Promise<void> {
  await vi.waitFor(
    async () => {
      vi.setSystemTime(Date.now() + 500);
      await check();
    },
    { timeout: 20_000, interval: 50 },
  );
}

function failMachines(): void {
  for (const [name, machine] of provider.machines) provider.machines.set(name, { ...machine, status: "failed" });
}

/** The only machine has failed its start: it ends, and the next one is made after a pause. */
async function expectPutOff(pass: (ms: number) => Promise<void>): Promise<void> {
  await pass(60_000);
  await ended(1);
  expect(provider.called("create")).toHaveLength(1);
  await pass(10_000);
  await created(2);
}

type Request = ReturnType<typeof lbRequest>;

/** What one call answers, while time passes. */
async function enterAsTimePasses(request: Request): Promise<Awaited<ReturnType<Request["enter"]>>> {
  const answers: Awaited<ReturnType<Request["enter"]>>[] = [];
  void request.enter(30).then((answer) => answers.push(answer));
  await asTimePasses(() => expect(answers).toHaveLength(1));
  const [answer] = answers;
  if (answer === undefined) throw new Error("there is no answer");
  return answer;
}

describe("a request at an endpoint without a worker", () => {
  it("waits while the first one starts, and is served by it once its /ping is answered by 200", async () => {
    health = "starting";
    const { request, workers } = await makeLbFleet();
    const ticket = request().ticket();
    await created(1);
    await vi.waitFor(async () => expect(await workers()).toMatchObject([{ state: "INITIALIZING", kind: "push" }]));
    health = "ready";
    await asTimePasses(() => expect(pingsOf(machineOf(0))).toBeGreaterThan(1));
    expect(await ticket).toMatchObject({
      upstream: { id: machineOf(0), url: "http://worker.test", tier: "a4000", rateKind: "flex", slots: 1 },
      nanodollarsPerSecond: 160_000,
    });
    expect(await workers()).toMatchObject([
      { id: machineOf(0), state: "RUNNING", running: 1, machine: { phase: "ready" } },
    ]);
  });

  it("is served within a second where a newer create has overtaken that of its machine, so that its answer shows none", async () => {
    provider.answers.create = [{ kind: "done", instance: null }];
    const { endpointId, request, pass } = await makeLbFleet();
    const ticket = request().ticket();
    await created(1);
    const name = `wb-${endpointId}-${machineOf(0)}`;
    const shown = { status: "running", priceNanodollarsPerHour: null, detail: null } as const;
    provider.machines.set(name, { ...shown, name, ref: "late", url: "http://worker.test" });
    await pass(1_000);
    expect(await ticket).toMatchObject({ upstream: { id: machineOf(0), url: "http://worker.test" } });
  });

  it("is told what it waits for when it has to come again", async () => {
    health = "starting";
    const { request } = await makeLbFleet();
    expect(await enterAsTimePasses(request())).toMatchObject({
      value: { kind: "wait", why: expect.stringContaining("its worker loads") },
    });
  });

  it("is to come again soon while the first machine starts, and later halfway to when a start is usually over", async () => {
    health = "starting";
    const made = await makeLbFleet({ idleTimeoutMs: 3_600_000, max: 2 });
    const retryAfter = async (request: Request) => {
      const waiting = request.enter();
      await vi.waitFor(async () =>
        expect(await made.workers()).toContainEqual(expect.objectContaining({ state: "INITIALIZING" })),
      );
      await request.leave(null);
      const answer = await waiting;
      return answer.ok && answer.value.kind === "wait" ? answer.value.retryAfterSeconds : null;
    };
    // No start is known yet.
    expect(await retryAfter(made.request())).toBe(5);
    const startMs = Date.now();
    vi.setSystemTime(startMs + 40_000);
    health = "ready";
    const ticket = await made.request().ticket();
    health = "starting";
    const earlySeconds = await retryAfter(made.request());
    expect(earlySeconds).toBeGreaterThan(15);
    expect(earlySeconds).toBeLessThanOrEqual(21);
    expect(await made.request().renew(ticket)).toBe(true);
    vi.setSystemTime(Date.now() + 25_000);
    const laterSeconds = await retryAfter(made.request());
    expect(laterSeconds).toBeGreaterThan(1);
    expect(laterSeconds).toBeLessThanOrEqual(9);
  });

  it("makes no machine where it insists on a worker that is not there", async () => {
    const { request } = await makeLbFleet();
    expect(await request("strict w1").enter(30)).toMatchObject({ ok: false, failure: { kind: "affinity_gone" } });
    expect(provider.calls).toEqual([]);
  });

  it("makes none where a worker that no fleet has made is free", async () => {
    const { request } = await makeLbFleet({}, { upstreams: [upstream({ id: "w1", slots: 1 })] });
    expect((await request().ticket()).upstream.id).toBe("w1");
    expect(provider.calls).toEqual([]);
  });
});

describe("the machines of a load-balanced endpoint", () => {
  it("are as many as its requests need, and no more than it may have", async () => {
    const { request } = await makeLbFleet({ max: 2 });
    const [first, second, third] = [request(), request(), request()];
    const tickets = [first.ticket(), second.ticket()];
    const waiting = third.enter();
    await created(2);
    expect((await Promise.all(tickets)).map(({ upstream: { id } }) => id)).toEqual([machineOf(0), machineOf(1)]);
    await third.leave(null);
    expect(await waiting).toMatchObject({ value: { kind: "wait" } });
    expect(provider.called("create")).toHaveLength(2);
  });

  it("take as many requests at once as they have slots", async () => {
    const { request } = await makeLbFleet({ slots: 3, rule: { type: "REQUEST_COUNT", requests: 3 } });
    const tickets = await Promise.all([request(), request(), request()].map((one) => one.ticket()));
    expect(new Set(tickets.map(({ upstream: { id } }) => id)).size).toBe(1);
    expect(provider.called("create")).toHaveLength(1);
  });

  it("are not counted as workers that a request could be sent to instead while they start", async () => {
    answerPings((id) => (id === machineOf(0) ? "ready" : health));
    health = "starting";
    const { request } = await makeLbFleet({ min: 2, slots: 5 });
    await created(2);
    expect(await request().enter()).toMatchObject({
      value: { ticket: { upstream: { id: machineOf(0) } }, workers: 1 },
    });
    health = "ready";
    await asTimePasses(async () => expect(await request().enter()).toMatchObject({ value: { workers: 2 } }));
  });

  it("are ended when no request has needed them for the idle timeout, and not while one runs", async () => {
    const { request, pass, workers } = await makeLbFleet();
    const first = request();
    const ticket = await first.ticket();
    for (let passed = 0; passed < 4; passed += 1) {
      await pass(5_000);
      await first.renew(ticket);
    }
    expect(provider.called("end")).toEqual([]);
    await first.leave(ticket);
    await pass(4_000);
    expect(provider.called("end")).toEqual([]);
    await pass(1_500);
    await ended(1);
    expect(await workers()).toEqual([]);
  });

  it("end first where no request runs", async () => {
    const { request, pass } = await makeLbFleet();
    const [long, short] = [request(), request()];
    const [longTicket, shortTicket] = await Promise.all([long.ticket(), short.ticket()]);
    await short.leave(shortTicket);
    await long.renew(longTicket);
    await pass(6_000);
    await ended(1);
    expect(provider.called("end")[0]?.machine?.instanceId).toBe(shortTicket.upstream.id);
    expect(await long.renew(longTicket)).toBe(true);
  });

  it("are kept over a start of the broker for requests that run on them", async () => {
    const { request, pass } = await makeLbFleet();
    const running = request();
    const ticket = await running.ticket();
    await abortAllDurableObjects();
    await pass(6_000);
    await pass(5_900);
    expect(await running.renew(ticket)).toBe(true);
    await pass(LB_RECALL_MS);
    await pass(6_000);
    expect(await running.renew(ticket)).toBe(true);
    expect(provider.called("end")).toEqual([]);
    await running.leave(ticket);
    await pass(6_000);
    await ended(1);
  });

  it("are neither more nor fewer at a start of the broker until it is known how many requests run on them", async () => {
    const { request, pass, workers } = await makeLbFleet({
      slots: 10,
      max: 20,
      rule: { type: "REQUEST_COUNT", requests: 10 },
    });
    const running = request();
    const ticket = await running.ticket();
    await abortAllDurableObjects();
    const more = [request(), request(), request()];
    const waits = more.map((one) => one.ticket());
    await pass(6_000);
    await running.renew(ticket);
    expect(provider.called("create")).toHaveLength(1);
    await pass(LB_RECALL_MS);
    // Nine slots are free: this request gets one of them, after those that came before it.
    await request().ticket();
    await Promise.all(waits);
    expect(await workers()).toMatchObject([{ running: 5 }]);
    expect(provider.called("create")).toHaveLength(1);
    expect(provider.called("end")).toEqual([]);
  });

  it("begin with a first one at a start of the broker where there is none", async () => {
    const { request, workers } = await makeLbFleet({ max: 5 }, { upstreams: [upstream({ id: "w1", slots: 1 })] });
    const running = request();
    const ticket = await running.ticket();
    expect(ticket.upstream.id).toBe("w1");
    await abortAllDurableObjects();
    await running.renew(ticket);
    const more = [request(), request(), request()];
    const waits = more.map((one) => one.enter());
    await created(1);
    await vi.waitFor(async () =>
      expect(await workers()).toMatchObject([{ id: "w1" }, { machine: { phase: "starting" } }]),
    );
    expect(provider.called("create")).toHaveLength(1);
    for (const one of more) await one.leave(null);
    await Promise.all(waits);
  });

  it.each([
    ["is unreachable", () => "unhealthy"],
    // Its program ends and begins anew every few seconds.
    ["alternates between loading and unreachable", (at) => (at % 2 === 0 ? "unhealthy" : "starting")],
  ] satisfies [string, (at: number) => ProbedHealth][])(
    "are replaced when their worker %s for a minute",
    async (_, answer) => {
      // It is wanted whether a request waits or not.
      const { request } = await makeLbFleet({ min: 1 });
      const first = request();
      const ticket = await first.ticket();
      const sick = machineOf(0);
      pinged = answerPings((id) => (id === sick ? answer(pingsOf(sick)) : "ready"));
      await first.leave(ticket, "unreachable");
      const sickMs = Date.now();
      const second = request();
      const waiting = second.enter();
      await asTimePasses(() => expect(pingsOf(sick)).toBeGreaterThan(3));
      expect(provider.called("end")).toEqual([]);
      await asTimePasses(() => expect(provider.called("end")).toHaveLength(1));
      expect(Date.now() - sickMs).toBeGreaterThanOrEqual(LB_SICK_AFTER_MS);
      await waiting;
      await vi.waitFor(async () =>
        expect(await enterAsTimePasses(second)).toMatchObject({
          value: { ticket: { upstream: { id: machineOf(1) } } },
        }),
      );
    },
  );

  it("whose worker is never ready have failed their start, which is told", async () => {
    health = "starting";
    const { request } = await makeLbFleet({ initTimeoutMs: 3_000 });
    const first = request();
    await enterAsTimePasses(first);
    await asTimePasses(() => expect(provider.called("end")).toHaveLength(1));
    expect(await enterAsTimePasses(first)).toMatchObject({
      value: { kind: "wait", why: expect.stringContaining("Its /ping is not answered by 200") },
    });
  });

  it("whose worker ends before it has served anything have failed their start, so that the next one is put off", async () => {
    const { pass, workers } = await makeLbFleet({ min: 1 });
    await created(1);
    await vi.waitFor(async () => expect(await workers()).toMatchObject([{ machine: { phase: "ready" } }]));
    failMachines();
    health = "unhealthy";
    await expectPutOff(pass);
  });

  it("whose first request ends its worker have failed their start, too", async () => {
    const { request, pass, workers } = await makeLbFleet({ min: 1 });
    await created(1);
    await vi.waitFor(async () => expect(await workers()).toMatchObject([{ machine: { phase: "ready" } }]));
    const one = request();
    const ticket = await one.ticket();
    failMachines();
    health = "unhealthy";
    await one.leave(ticket, "worker_failed");
    await expectPutOff(pass);
  });

  it("stay for the first request that runs on them, whatever their provider shows", async () => {
    const { request, pass, workers } = await makeLbFleet({ min: 1 });
    await created(1);
    await vi.waitFor(async () => expect(await workers()).toMatchObject([{ machine: { phase: "ready" } }]));
    const one = request();
    const ticket = await one.ticket();
    failMachines();
    const lists = provider.called("list").length;
    // The second list is asked for when the answer to the first one was taken.
    for (const times of [1, 2]) {
      for (let passedMs = 0; passedMs < 60_000; passedMs += LB_RENEW_MS) {
        await pass(LB_RENEW_MS);
        await one.renew(ticket);
      }
      await vi.waitFor(() => expect(provider.called("list")).toHaveLength(lists + times));
    }
    expect(await workers()).toMatchObject([{ machine: { phase: "ready" } }]);
    expect(provider.called("end")).toEqual([]);
  });

  it("that have no address have failed their start, too, and the words name it", async () => {
    provider.url = null;
    const { request } = await makeLbFleet({ initTimeoutMs: 3_000 });
    const first = request();
    await enterAsTimePasses(first);
    await asTimePasses(() => expect(provider.called("end")).toHaveLength(1));
    expect(await enterAsTimePasses(first)).toMatchObject({
      value: { why: expect.stringContaining("Its provider tells no url") },
    });
    expect(pingsOf(machineOf(0))).toBe(0);
  });

  it("are shown as unhealthy once an end was taken and has done nothing: they may still be paid", async () => {
    provider.answers.end = [{ kind: "done", instance: null }];
    const { request, pass, workers } = await makeLbFleet();
    const one = request();
    await one.leave(await one.ticket());
    await asTimePasses(() => expect(provider.called("end")).toHaveLength(1));
    expect(await workers()).toEqual([]);
    const reason = expect.stringContaining("has taken its end, and still shows it");
    await vi.waitFor(async () => {
      await pass(5_000);
      expect(await workers()).toMatchObject([{ state: "UNHEALTHY", reason, machine: { phase: "stopping" } }]);
    });
  });

  it("are there ahead of requests where that is asked for", async () => {
    const { tenantId, broker, workers } = await makeLbFleet();
    const untilMs = Date.now() + 60_000;
    await broker().prewarm({ tenantId, settingsVersion: 1, workers: 2, untilMs });
    await created(2);
    await vi.waitFor(async () => {
      expect(await workers()).toMatchObject([{ machine: { phase: "ready" } }, { machine: { phase: "ready" } }]);
    });
  });

  it("are not asked for their health while nobody needs it", async () => {
    const { pass } = await makeLbFleet({ min: 1 });
    await created(1);
    await vi.waitFor(() => expect(pingsOf(machineOf(0))).toBe(1));
    for (let passed = 0; passed < 5; passed += 1) await pass(60_000);
    expect(pingsOf(machineOf(0))).toBe(1);
    expect(provider.called("end")).toEqual([]);
  });
});

describe("a load-balanced machine that its provider shows as failed", () => {
  async function makeProven() {
    const made = await makeLbFleet({ min: 1 });
    await created(1);
    const request = made.request();
    await request.leave(await request.ticket());
    // It is there for longer than its start is judged by.
    for (let passedMs = 0; passedMs < START_JUDGED_MS; passedMs += 60_000) await made.pass(60_000);
    await vi.waitFor(async () => expect(await made.workers()).toMatchObject([{ machine: { phase: "ready" } }]));
    failMachines();
    return made;
  }

  it("is asked, stays while its worker answers, and ends when it does not", async () => {
    const { pass, workers } = await makeProven();
    const lists = provider.called("list").length;
    const asked = pingsOf(machineOf(0));
    // The second one is asked for when the answer to the first one was taken.
    for (const times of [1, 2]) {
      await pass(60_000);
      await vi.waitFor(() => expect(pingsOf(machineOf(0))).toBe(asked + times));
    }
    expect(provider.called("list")).toHaveLength(lists + 2);
    expect(await workers()).toMatchObject([{ machine: { phase: "ready" } }]);
    expect(provider.called("end")).toEqual([]);
    health = "unhealthy";
    await pass(60_000);
    await ended(1);
  });

  it("stays while its worker answers though no request has come yet, and has failed its start when it does not", async () => {
    const { pass, workers } = await makeLbFleet({ min: 1 });
    await created(1);
    await vi.waitFor(async () => expect(await workers()).toMatchObject([{ machine: { phase: "ready" } }]));
    failMachines();
    const asked = pingsOf(machineOf(0));
    for (const times of [1, 2]) {
      await pass(60_000);
      await vi.waitFor(() => expect(pingsOf(machineOf(0))).toBe(asked + times));
    }
    expect(await workers()).toMatchObject([{ machine: { phase: "ready" } }]);
    expect(provider.called("end")).toEqual([]);
    health = "unhealthy";
    await pass(60_000);
    await ended(1);
    // The next one is put off.
    expect(provider.called("create")).toHaveLength(1);
  });

  it("has failed no start where it was ready before a start of its broker, and may have served requests then", async () => {
    const { pass, workers, endpointId } = await makeLbFleet({ min: 1 });
    await created(1);
    await vi.waitFor(async () => expect(await workers()).toMatchObject([{ machine: { phase: "ready" } }]));
    await pass(1_000);
    await evict(endpointId);
    failMachines();
    health = "unhealthy";
    await pass(60_000);
    await ended(1);
    // The next one is begun without a pause.
    await created(2);
  });

  it("stays where its request ends while another machine is asked", async () => {
    const { request, pass, workers } = await makeLbFleet({ min: 2 });
    await created(2);
    const ready = { machine: { phase: "ready" } };
    await vi.waitFor(async () => expect(await workers()).toMatchObject([ready, ready]));
    const one = request();
    const ticket = await one.ticket();
    failMachines();
    const held = Promise.withResolvers<ProbedHealth>();
    let asked = 0;
    answerPings(() => {
      asked += 1;
      return held.promise;
    });
    for (let passedMs = 0; passedMs < 60_000; passedMs += LB_RENEW_MS) {
      await pass(LB_RENEW_MS);
      await one.renew(ticket);
    }
    // The busy one is not asked.
    await vi.waitFor(() => expect(asked).toBe(1));
    await one.leave(ticket);
    const lists = provider.called("list").length;
    held.resolve("ready");
    await vi.waitFor(async () => {
      await pass(5_000);
      expect(provider.called("list").length).toBeGreaterThan(lists);
    });
    expect(provider.called("end")).toEqual([]);
  });

  it("stays for a request that has begun while its worker was asked", async () => {
    const { request, pass, workers } = await makeProven();
    const lists = provider.called("list").length;
    await pass(60_000);
    await vi.waitFor(() => expect(provider.called("list")).toHaveLength(lists + 1));
    await pass(50_000);
    // Its worker serves a request shortly before the next list, so that it is ready for another one.
    const early = request();
    const answer = await enterAsTimePasses(early);
    if (!answer.ok || answer.value.kind !== "ticket") throw new Error("there is no ticket");
    await early.leave(answer.value.ticket);
    let isAsked = false;
    const held = Promise.withResolvers<ProbedHealth>();
    answerPings(() => {
      // Requests have it asked, too; this is the question that follows the list.
      isAsked = provider.called("list").length === lists + 2;
      return held.promise;
    });
    await vi.waitFor(async () => {
      await pass(1_000);
      expect(isAsked).toBe(true);
    });
    const ticket = await request().ticket();
    expect(ticket.upstream.id).toBe(machineOf(0));
    held.resolve("unhealthy");
    await vi.waitFor(async () => expect(await workers()).toMatchObject([{ state: "UNHEALTHY" }]));
    expect(await workers()).toMatchObject([{ machine: { phase: "ready" } }]);
    expect(provider.called("end")).toEqual([]);
  });
});

describe("a load-balanced machine that is started again", () => {
  it("is called where its provider shows it then, and not at its former address, which may be somebody else's", async () => {
    const urls: string[] = [];
    vi.spyOn(Prober.prototype, "ping").mockImplementation(async ({ url }) => {
      urls.push(url);
      return "ready";
    });
    const { request, pass } = await makeLbFleet({ keepsStopped: true, idleTimeoutMs: 1_000 });
    const first = request();
    const ticket = await first.ticket();
    await first.leave(ticket);
    await vi.waitFor(async () => {
      await pass(1_000);
      expect(provider.called("stop")).toHaveLength(1);
    });
    await pass(5_000);
    urls.length = 0;
    provider.answers.start = [
      () => {
        for (const [name, stopped] of provider.machines)
          provider.machines.set(name, { ...stopped, status: "running", url: "http://moved.test" });
        return { kind: "done", instance: null };
      },
    ];
    const lists = provider.called("list").length;
    const second = request().ticket();
    await vi.waitFor(() => expect(provider.called("start")).toHaveLength(1));
    await pass(1_000);
    expect(await second).toMatchObject({ upstream: { id: ticket.upstream.id, url: "http://moved.test" } });
    expect(provider.called("list")).toHaveLength(lists + 1);
    expect(provider.called("start")).toHaveLength(1);
    expect(urls).not.toContain("http://worker.test");
  });
});

describe("the timing of a load-balanced endpoint", () => {
  it("tells requests that have waited for a machine from those that have not", async () => {
    health = "starting";
    const { tenantId, broker, request } = await makeLbFleet();
    const [cold, warm] = [request(), request()];
    const coldTicket = cold.ticket();
    await created(1);
    await asTimePasses(() => expect(pingsOf(machineOf(0))).toBeGreaterThan(1));
    health = "ready";
    await asTimePasses(async () =>
      expect(await broker().health({ tenantId })).toMatchObject({ workers: { running: 1 } }),
    );
    await cold.leave(await coldTicket);
    const warmTicket = await warm.ticket();
    vi.setSystemTime(Date.now() + 250);
    await warm.leave(warmTicket);
    expect(await broker().readTiming({ tenantId })).toMatchObject({
      warm: { jobs: 1, waitMs: { p50: 0 }, executionMs: { p50: 250 } },
      cold: { jobs: 1, waitMs: { p50: expect.any(Number) } },
      starts: { created: { count: 1 } },
    });
  });
});

describe("an active machine of a load-balanced endpoint", () => {
  it("is billed from its readiness until it is to end, over a start of the broker, and its requests cost nothing", async () => {
    vi.setSystemTime(Date.UTC(2050, 0, 1));
    const active = await makeLbFleet({ min: 1 });
    await created(1);
    await vi.waitFor(async () => expect(await active.holds()).toHaveLength(1));
    const readyMs = Date.now();
    const request = active.request();
    const ticket = await request.ticket();
    expect(ticket).toMatchObject({ upstream: { rateKind: "active" } });
    vi.setSystemTime(readyMs + 4_000);
    await request.leave(ticket);
    await abortAllDurableObjects();
    expect(await active.workers()).toHaveLength(1);
    // By now every request of the earlier start would have been renewed.
    vi.setSystemTime(readyMs + 4_000 + LB_RECALL_MS + 400);
    await active.change({ fleet: fleet({ min: 0, idleTimeoutMs: 0 }) });
    await ended(1);
    expect(await active.holds()).toEqual([]);
    const [line, ...more] = await active.lines();
    expect(more).toEqual([]);
    expect(line).toMatchObject({ jobId: `active-${machineOf(0)}`, rate: ACTIVE_RATE });
    expect(line?.seconds).toBe(Math.ceil(((line?.finishedAt ?? 0) - (line?.startedAt ?? 0)) / 1_000));
    expect(line?.finishedAt).toBe(readyMs + 16_400);
    expect(line?.startedAt).toBeLessThanOrEqual(readyMs);
  });

  it("is billed no longer than until the endpoint is deleted, though requests still run", async () => {
    vi.setSystemTime(Date.UTC(2050, 0, 1));
    const made = await makeLbFleet({ min: 2 });
    await created(2);
    await vi.waitFor(async () => expect(await made.holds()).toHaveLength(2));
    const [one, two] = [made.request(), made.request()];
    const tickets = [await one.ticket(), await two.ticket()];
    await made.pass(10_000);
    const deletedMs = Date.now();
    await made.change({ deletedAtMs: deletedMs });
    // Their edges learn of it by their next renewals. Until then the alarm rings as often as it is set.
    while (Date.now() < deletedMs + 8_000) {
      vi.setSystemTime(Math.max((await made.alarm()) ?? 0, Date.now() + 20));
      await made.ring();
      expect(await made.holds()).toEqual([]);
    }
    await one.leave(tickets[0] ?? null, "unused");
    await two.leave(tickets[1] ?? null, "unused");
    const lines = await made.lines();
    expect(lines.map(({ jobId }) => jobId).sort()).toEqual([0, 1].map((at) => `active-${machineOf(at)}`).sort());
    for (const { finishedAt } of lines) expect(finishedAt).toBeLessThanOrEqual(deletedMs + 1_000);
  });

  it("ends with its price, is billed until then, and one that is paid by the request takes its place", async () => {
    vi.setSystemTime(Date.UTC(2050, 0, 1));
    const made = await makeLbFleet({ min: 1 });
    const { rates } = made.settings();
    await created(1);
    await vi.waitFor(async () => expect(await made.holds()).toHaveLength(1));
    vi.setSystemTime(Date.now() + 10_300);
    const goneMs = Date.now();
    await made.change({ rates: rates.filter(({ kind }) => kind === "flex") });
    await created(2);
    expect(provider.called("create")[1]).toMatchObject({ machine: { rateKind: "flex" } });
    expect(await made.holds()).toEqual([]);
    expect(await made.lines()).toMatchObject([{ finishedAt: goneMs, seconds: 11 }]);
  });

  it.each([
    ["does not list it", () => provider.machines.clear()],
    ["shows it as failed", () => failMachines()],
  ])("is gone, and billed no longer, once its provider %s and its worker does not answer", async (_, lose) => {
    vi.setSystemTime(Date.UTC(2050, 0, 1));
    const made = await makeLbFleet({ min: 1 });
    await created(1);
    await vi.waitFor(async () => expect(await made.holds()).toHaveLength(1));
    // It is there for longer than its start is judged by.
    for (let passedMs = 0; passedMs < START_JUDGED_MS; passedMs += 60_000) await made.pass(60_000);
    // The list is wrong: its worker answers.
    const missed = new Map(provider.machines);
    provider.machines.clear();
    const asked = pingsOf(machineOf(0));
    await made.pass(60_000);
    await vi.waitFor(() => expect(pingsOf(machineOf(0))).toBeGreaterThan(asked));
    expect(await made.holds()).toHaveLength(1);
    for (const [name, machine] of missed) provider.machines.set(name, machine);
    const lists = provider.called("list").length;
    await made.pass(60_000);
    const listedMs = Date.now();
    await vi.waitFor(() => expect(provider.called("list")).toHaveLength(lists + 1));
    lose();
    health = "unhealthy";
    await made.pass(60_000);
    await created(2);
    const [line, ...more] = await made.lines();
    expect(more).toEqual([]);
    expect(line).toMatchObject({ jobId: `active-${machineOf(0)}`, finishedAt: listedMs });
  });
});
