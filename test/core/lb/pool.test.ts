// Who serves the next load-balanced request: exact slots, health, order, affinity.
import { describe, expect, it } from "vitest";
import { type LbHealth, type LbMember, LbPool, type LbWish, parseAffinity } from "../../../src/core/lb/pool.ts";
import { LB_GIVEN_UP_AFTER_MS, LB_HEALTH_FRESH_MS, LB_PROBE_EVERY_MS } from "../../../src/core/limits.ts";

const NOW = 1_000_000;
const ANY: LbWish = { affinity: { kind: "none" }, avoidIds: [] };
const everyProbe = (): number => LB_PROBE_EVERY_MS;

function member(id: string, partial: Partial<LbMember> = {}): LbMember {
  return { id, url: `http://${id}.test`, slots: 2, rateKind: "flex", ...partial };
}

function hold(token: string) {
  return { token, tenantId: "tenant" };
}

/** A pool whose workers are all ready. */
function readyPool(...members: readonly LbMember[]): LbPool {
  const pool = new LbPool();
  pool.configure(members);
  for (const { id } of members) pool.probed(id, "ready", NOW);
  return pool;
}

/** Takes the next worker as often as there is one, at most ten times. */
function takeAll(pool: LbPool, wish = ANY): string[] {
  const taken: string[] = [];
  while (taken.length < 10) {
    const choice = pool.choose(wish, NOW);
    if (choice.kind !== "worker") break;
    pool.occupy(choice.id, hold(`${choice.id}#${taken.length}`), NOW);
    taken.push(choice.id);
  }
  return taken;
}

function wish(affinity: string, avoidIds: readonly string[] = []): LbWish {
  const parsed = parseAffinity(affinity);
  if (parsed === null) throw new Error(`no affinity: ${affinity}`);
  return { affinity: parsed, avoidIds };
}

describe("the header X-Runpod-Worker-Id", () => {
  it.each([
    [null, { kind: "none" }],
    ["", { kind: "none" }],
    ["  ", { kind: "none" }],
    ["w-1", { kind: "soft", workerId: "w-1" }],
    ["strict w-1", { kind: "strict", workerId: "w-1" }],
    ["strict-resume w-1", { kind: "resume", workerId: "w-1" }],
    ["strict", null],
    ["strict-resume", null],
    ["strict strict", null],
    ["loose w-1", null],
    ["w 1 2", null],
    ["a/b", null],
    ["x".repeat(201), null],
  ])("%j is read as %j", (header, affinity) => {
    expect(parseAffinity(header)).toEqual(affinity);
  });
});

describe("the choice of a worker", () => {
  it("spreads over the ready ones, least loaded first, and never beyond their slots", () => {
    const pool = readyPool(member("a", { slots: 1 }), member("b", { slots: 3 }));
    expect(takeAll(pool)).toEqual(["a", "b", "b", "b"]);
    expect(pool.choose(ANY, NOW)).toEqual({ kind: "wait" });
    pool.release("b#1");
    expect(takeAll(pool)).toEqual(["b"]);
  });

  it("takes active workers before flex ones", () => {
    const pool = readyPool(member("flex"), member("active", { rateKind: "active" }));
    expect(takeAll(pool)).toEqual(["active", "active", "flex", "flex"]);
  });

  it("takes of equals the one that was served longest ago", () => {
    const pool = readyPool(member("a"), member("b"), member("c"));
    const order: string[] = [];
    for (let made = 0; made < 6; made += 1) {
      const choice = pool.choose(ANY, NOW);
      if (choice.kind !== "worker") throw new Error("no worker");
      order.push(choice.id);
      pool.occupy(choice.id, hold("t"), NOW);
      pool.release("t");
    }
    expect(order).toEqual(["a", "b", "c", "a", "b", "c"]);
  });

  it.each(["starting", "unhealthy"] as const)("leaves out one that is %s", (health) => {
    const pool = readyPool(member("a"), member("b"));
    pool.probed("a", health, NOW);
    expect(takeAll(pool)).toEqual(["b", "b"]);
  });

  it("leaves out one that nobody has asked, or not for long", () => {
    const pool = new LbPool();
    pool.configure([member("a")]);
    expect(pool.choose(ANY, NOW)).toEqual({ kind: "wait" });
    pool.probed("a", "ready", NOW);
    expect(pool.choose(ANY, NOW + LB_HEALTH_FRESH_MS - 1)).toEqual({ kind: "worker", id: "a" });
    expect(pool.choose(ANY, NOW + LB_HEALTH_FRESH_MS)).toEqual({ kind: "wait" });
  });

  it("gives a request that has failed somewhere to others only, and says when there are none", () => {
    const pool = readyPool(member("a"), member("b"));
    expect(pool.choose({ ...ANY, avoidIds: ["a"] }, NOW)).toEqual({ kind: "worker", id: "b" });
    expect(pool.choose({ ...ANY, avoidIds: ["a", "b"] }, NOW)).toEqual({ kind: "none_left" });
  });
});

describe("affinity", () => {
  it("that is soft takes the worker while it has room, else any other", () => {
    const pool = readyPool(member("a"), member("b"));
    expect(takeAll(pool, wish("b"))).toEqual(["b", "b", "a", "a"]);
    expect(takeAll(readyPool(member("a")), wish("gone"))).toEqual(["a", "a"]);
  });

  it.each(["strict b", "strict-resume b"])("%s waits for that one while it is busy", (header) => {
    const pool = readyPool(member("a"), member("b"));
    expect(takeAll(pool, wish(header))).toEqual(["b", "b"]);
    expect(pool.choose(wish(header), NOW)).toEqual({ kind: "wait" });
  });

  it("that is strict is over when the worker is unhealthy or not there; resume waits for one that may come back", () => {
    const pool = readyPool(member("a"), member("b"));
    pool.probed("b", "unhealthy", NOW);
    expect(pool.choose(wish("strict b"), NOW)).toEqual({ kind: "gone" });
    expect(pool.choose(wish("strict-resume b"), NOW)).toEqual({ kind: "wait" });
    expect(pool.choose(wish("strict c"), NOW)).toEqual({ kind: "gone" });
    expect(pool.choose(wish("strict-resume c"), NOW)).toEqual({ kind: "gone" });
    expect(pool.choose(wish("strict a", ["a"]), NOW)).toEqual({ kind: "none_left" });
  });
});

describe("a slot", () => {
  it("is free again when its request was not renewed in time", () => {
    const pool = readyPool(member("a", { slots: 1 }));
    pool.occupy("a", hold("t"), NOW);
    expect(pool.renew("t", NOW + LB_GIVEN_UP_AFTER_MS - 1)).toBe(true);
    expect(pool.releaseGivenUp(NOW + LB_GIVEN_UP_AFTER_MS)).toBe(0);
    expect(pool.nextGivenUpAtMs()).toBe(NOW + 2 * LB_GIVEN_UP_AFTER_MS - 1);
    expect(pool.releaseGivenUp(NOW + 2 * LB_GIVEN_UP_AFTER_MS)).toBe(1);
    expect(pool.renew("t", NOW)).toBe(false);
    expect(pool.release("t")).toBe(false);
    expect(pool.outstanding).toBe(0);
  });

  it("stays taken on a worker that leaves and comes back", () => {
    const pool = readyPool(member("a", { slots: 1 }));
    pool.occupy("a", hold("t"), NOW);
    pool.configure([]);
    expect(pool.choose(ANY, NOW)).toEqual({ kind: "wait" });
    pool.configure([member("a", { slots: 1 })]);
    expect(pool.choose(ANY, NOW)).toEqual({ kind: "wait" });
    pool.release("t");
    expect(pool.choose(ANY, NOW)).toEqual({ kind: "worker", id: "a" });
  });
});

describe("health", () => {
  it("is asked at once, then in its interval, and never twice at a time", () => {
    const pool = new LbPool();
    pool.configure([member("a"), member("b")]);
    expect(pool.takeDueProbes(everyProbe, NOW)).toEqual(["a", "b"]);
    expect(pool.takeDueProbes(everyProbe, NOW + LB_PROBE_EVERY_MS)).toEqual([]);
    pool.probed("a", "ready", NOW);
    expect(pool.nextProbeAtMs(everyProbe, NOW)).toBe(NOW + LB_PROBE_EVERY_MS);
    expect(pool.takeDueProbes(everyProbe, NOW + LB_PROBE_EVERY_MS)).toEqual(["a"]);
  });

  it("is not asked when nobody wants to know", () => {
    const pool = new LbPool();
    pool.configure([member("a")]);
    const never = (): number => Number.POSITIVE_INFINITY;
    expect(pool.takeDueProbes(never, NOW)).toEqual([]);
    expect(pool.nextProbeAtMs(never, NOW)).toBe(Number.POSITIVE_INFINITY);
  });

  it("stays as it was when a probe came to nothing", () => {
    const pool = readyPool(member("a"));
    pool.takeDueProbes(everyProbe, NOW);
    pool.probed("a", null, NOW);
    expect(pool.choose(ANY, NOW)).toEqual({ kind: "worker", id: "a" });
  });

  it("is bad at once when a request could not reach the worker, and asked again at once", () => {
    const pool = readyPool(member("a"));
    pool.takeDueProbes(everyProbe, NOW);
    pool.probed("a", "ready", NOW);
    pool.unreachable("a", NOW + 1);
    expect(pool.choose(ANY, NOW + 1)).toEqual({ kind: "wait" });
    expect(pool.takeDueProbes(everyProbe, NOW + 1)).toEqual(["a"]);
  });

  it("is good after a request was served, but for one from before the worker was found bad", () => {
    const pool = readyPool(member("a"));
    pool.probed("a", "unhealthy", NOW + 10);
    pool.served("a", NOW + 5, NOW + 20);
    expect(pool.choose(ANY, NOW + 20)).toEqual({ kind: "wait" });
    pool.served("a", NOW + 15, NOW + 30);
    expect(pool.choose(ANY, NOW + 30)).toEqual({ kind: "worker", id: "a" });
  });

  it("is told with the newest request that the worker has served, of which another address shows nothing", () => {
    const pool = readyPool(member("a"));
    const servedFrom = () => pool.lifeOf("a", NOW + 30)?.servedFromMs;
    pool.occupy("a", hold("t"), NOW + 5);
    expect(servedFrom()).toBe(0);
    pool.served("a", NOW + 5, NOW + 20);
    pool.served("a", NOW + 1, NOW + 30);
    expect(servedFrom()).toBe(NOW + 5);
    pool.configure([member("a", { url: "http://elsewhere.test" })]);
    expect(servedFrom()).toBe(0);
  });

  it("is told with the time since which the worker is not ready, also where it alternates between loading and unreachable", () => {
    const pool = new LbPool();
    pool.configure([member("a")]);
    const changedAt = () => pool.lifeOf("a", NOW + 100)?.changedAtMs;
    pool.probed("a", "starting", NOW);
    pool.probed("a", "ready", NOW + 10);
    pool.probed("a", "ready", NOW + 20);
    expect(changedAt()).toBe(NOW + 10);
    pool.unreachable("a", NOW + 30);
    for (const [at, health] of (["starting", "unhealthy", "starting"] as const).entries())
      pool.probed("a", health, NOW + 40 + at);
    expect(changedAt()).toBe(NOW + 30);
    pool.probed("a", "ready", NOW + 50);
    expect(changedAt()).toBe(NOW + 50);
  });

  it("is unknown of a worker that has another address, which is asked at once, whatever the former one still answers", () => {
    const pool = readyPool(member("a"));
    pool.takeDueProbes(everyProbe, NOW + LB_PROBE_EVERY_MS);
    pool.configure([member("a", { url: "http://elsewhere.test" })]);
    expect(pool.choose(ANY, NOW + LB_PROBE_EVERY_MS)).toEqual({ kind: "wait" });
    expect(pool.isAt(member("a"))).toBe(false);
    expect(pool.takeDueProbes(everyProbe, NOW + LB_PROBE_EVERY_MS)).toEqual(["a"]);
    pool.configure([member("a", { url: "http://elsewhere.test", slots: 3 })]);
    pool.probed("a", "ready", NOW + LB_PROBE_EVERY_MS);
    expect(pool.choose(ANY, NOW + LB_PROBE_EVERY_MS)).toEqual({ kind: "worker", id: "a" });
  });

  it("is shown with its health and its requests, and its health is unknown when no probe is fresh", () => {
    const pool = readyPool(member("a"), member("b"), member("c"), member("d"));
    pool.occupy("a", hold("t"), NOW);
    pool.probed("b", "starting", NOW);
    pool.probed("c", "unhealthy", NOW);
    const looks = (nowMs: number) => ["a", "b", "c", "d"].map((id) => pool.look(id, nowMs));
    const shown = (health: LbHealth, running = 0) => ({ health, running });
    expect(looks(NOW)).toEqual([shown("ready", 1), shown("starting"), shown("unhealthy"), shown("ready")]);
    const staleMs = NOW + LB_HEALTH_FRESH_MS;
    expect(looks(staleMs)).toEqual([shown("unknown", 1), shown("unknown"), shown("unknown"), shown("unknown")]);
    const seen: LbHealth[] = [];
    pool.nextProbeAtMs((health) => seen.push(health), NOW);
    expect(seen).toEqual(["ready", "starting", "unhealthy", "ready"]);
  });
});
