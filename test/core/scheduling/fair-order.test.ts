// Fair share: tenant first, by the GPU time that it had and has, then priority, then age.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FAIR_KEPT_MAX } from "../../../src/core/limits.ts";
import { FairOrder } from "../../../src/core/scheduling/fair-order.ts";
import { seededRandom } from "../../sim/random.ts";
import { cpuMsOf } from "../../support/cpu-time.ts";
import { WalkedOrder } from "./walked-order.ts";

/** Runs a simulated endpoint of so many slots for a while, and says how many jobs of each tenant hold a slot at its end. */
function holders(lengthsMs: Readonly<Record<string, number>>, slots: number, forMs: number): Record<string, number> {
  const fair = new FairOrder();
  const running: { readonly tenant: string; readonly startMs: number; readonly endMs: number }[] = [];
  for (const tenant of Object.keys(lengthsMs)) {
    for (let job = 0; job < 5_000; job += 1) fair.add(tenant, `${tenant}-${String(job).padStart(6, "0")}`, false, 0);
  }
  for (let nowMs = 0; nowMs < forMs; nowMs += 100) {
    for (const job of running.filter(({ endMs }) => endMs <= nowMs)) {
      fair.noteEnd(job.tenant, job.startMs, nowMs - job.startMs);
      running.splice(running.indexOf(job), 1);
    }
    while (running.length < slots) {
      const uuid = fair.next(nowMs) ?? "";
      const tenant = uuid.split("-")[0] ?? "";
      fair.remove(tenant, uuid, false);
      fair.noteStart(tenant, nowMs);
      running.push({ tenant, startMs: nowMs, endMs: nowMs + (lengthsMs[tenant] ?? 0) });
    }
  }
  const held: Record<string, number> = {};
  for (const { tenant } of running) held[tenant] = (held[tenant] ?? 0) + 1;
  return held;
}

describe("the fair order", () => {
  it("gives a tenant of hour-long jobs no more than its half beside one of short jobs", () => {
    expect(holders({ long: 3_600_000, short: 1_000 }, 20, 120_000).long).toBeLessThanOrEqual(11);
  });

  it("shares equal jobs of three tenants evenly", () => {
    const held = holders({ a: 2_000, b: 2_000, c: 2_000 }, 12, 20_050);
    for (const tenant of ["a", "b", "c"]) expect(held[tenant]).toBeGreaterThanOrEqual(3);
  });

  it("lets a newcomer wait one round at most behind a flood", () => {
    const fair = new FairOrder();
    for (let job = 0; job < 10_000; job += 1) fair.add("flood", String(job).padStart(6, "0"), false, 0);
    for (let started = 0; started < 100; started += 1) {
      const uuid = fair.next(started) ?? "";
      fair.remove("flood", uuid, false);
      fair.noteStart("flood", started);
    }
    fair.add("quiet", "zz", false, 200);
    expect(fair.next(200)).toBe("zz");
  });

  it("gives idleness no credit: who comes back begins at the present floor", () => {
    const fair = new FairOrder();
    fair.add("idle", "a1", false, 0);
    fair.remove("idle", "a1", false);
    for (let job = 0; job < 4; job += 1) fair.add("busy", `b${job}`, false, 0);
    for (const uuid of ["b0", "b1"]) {
      expect(fair.next(0)).toBe(uuid);
      fair.remove("busy", uuid, false);
      fair.noteStart("busy", 0);
      fair.noteEnd("busy", 0, 60_000);
    }
    expect(fair.next(60_000)).toBe("b2");
    fair.add("idle", "a2", false, 60_000);
    fair.add("idle", "a3", false, 60_000);
    const turns = [];
    for (let turn = 0; turn < 4; turn += 1) {
      const uuid = fair.next(60_000) ?? "";
      const tenant = uuid.startsWith("a") ? "idle" : "busy";
      turns.push(tenant);
      fair.remove(tenant, uuid, false);
      fair.noteStart(tenant, 60_000);
    }
    expect(turns.toSorted()).toEqual(["busy", "busy", "idle", "idle"]);
    expect(turns.slice(0, 2).toSorted()).toEqual(["busy", "idle"]);
  });

  it("takes normal priority before low within a tenant, and age within a priority", () => {
    const fair = new FairOrder();
    fair.add("one", "3", false, 0);
    fair.add("one", "1", true, 0);
    fair.add("one", "2", false, 0);
    const order = [];
    for (let uuid = fair.next(0); uuid !== undefined; uuid = fair.next(0)) {
      order.push(uuid);
      fair.remove("one", uuid, uuid === "1");
    }
    expect(order).toEqual(["2", "3", "1"]);
    expect(fair.isEmpty).toBe(true);
  });

  it("chooses as a walk of every tenant that ever came would", () => {
    const step = fc.record({
      kind: fc.constantFrom("add", "add", "low", "start", "start", "enter", "end", "end", "aside", "bound", "look"),
      tenant: fc.constantFrom("a", "b", "c", "d", "e"),
      pick: fc.nat(1_000),
      passMs: fc.constantFrom(0, 0, 1, 50, 700, 5_000),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 100, maxLength: 300, size: "max" }), (steps) => {
        const fair = new FairOrder();
        const walked = new WalkedOrder();
        const waiting = new Map<string, { readonly tenant: string; readonly low: boolean }>();
        const running: { readonly tenant: string; readonly startMs: number }[] = [];
        let nowMs = 1_790_000_000_000;
        for (const [at, { kind, tenant, pick, passMs }] of steps.entries()) {
          nowMs += passMs;
          const next = fair.next(nowMs);
          expect(next).toBe(walked.next(nowMs));
          expect(fair.isEmpty).toBe(next === undefined);
          const ended = running[pick % Math.max(running.length, 1)];
          if (kind === "add" || kind === "low") {
            const uuid = `${tenant}-${String((pick * 7_919 + at) % 100_000).padStart(6, "0")}-${at}`;
            waiting.set(uuid, { tenant, low: kind === "low" });
            for (const order of [fair, walked]) order.add(tenant, uuid, kind === "low", nowMs);
          } else if (kind === "bound") {
            for (const order of [fair, walked]) order.bound(tenant, pick % 3 === 0 ? null : 1 + (pick % 4), nowMs);
          } else if (kind === "enter") {
            running.push({ tenant, startMs: nowMs });
            for (const order of [fair, walked]) order.noteStart(tenant, nowMs);
          } else if (kind === "end" && ended !== undefined) {
            running.splice(running.indexOf(ended), 1);
            for (const order of [fair, walked]) order.noteEnd(ended.tenant, ended.startMs, nowMs - ended.startMs);
          }
          const uuid = kind === "aside" ? [...waiting.keys()][pick % Math.max(waiting.size, 1)] : next;
          const job = uuid === undefined ? undefined : waiting.get(uuid);
          if (uuid === undefined || job === undefined || (kind !== "start" && kind !== "aside")) continue;
          waiting.delete(uuid);
          for (const order of [fair, walked]) {
            if (kind === "start") order.noteStart(job.tenant, nowMs);
            order.remove(job.tenant, uuid, job.low);
          }
          if (kind === "start") running.push({ tenant: job.tenant, startMs: nowMs });
        }
      }),
      { numRuns: 300 },
    );
  });

  it("leaves out a tenant that runs as many jobs as it may, until one of them ends, and starves nobody", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.integer({ min: 1, max: 4 }), (seed, runningMax) => {
        const random = seededRandom(seed);
        const fair = new FairOrder();
        const tenants = ["bound", "free", "other"];
        const left: Record<string, number> = { bound: 40, free: 40, other: 40 };
        const running: { readonly tenant: string; readonly startMs: number; readonly endMs: number }[] = [];
        fair.bound("bound", runningMax, 0);
        for (const tenant of tenants)
          for (let job = 0; job < 40; job += 1) fair.add(tenant, `${tenant}-${job}`, false, 0);
        for (let nowMs = 0; Object.values(left).some((jobs) => jobs > 0); nowMs += 250) {
          // Every job ends within 4 s, so 120 jobs one after the other take at most 480 s.
          expect(nowMs).toBeLessThan(500_000);
          for (const job of running.filter(({ endMs }) => endMs <= nowMs)) {
            fair.noteEnd(job.tenant, job.startMs, nowMs - job.startMs);
            running.splice(running.indexOf(job), 1);
          }
          for (let uuid = fair.next(nowMs); uuid !== undefined && running.length < 8; uuid = fair.next(nowMs)) {
            const tenant = uuid.split("-")[0] ?? "";
            fair.noteStart(tenant, nowMs);
            fair.remove(tenant, uuid, false);
            left[tenant] = (left[tenant] ?? 0) - 1;
            running.push({ tenant, startMs: nowMs, endMs: nowMs + 250 + random.integer(0, 3_750) });
          }
          const bounded = running.filter(({ tenant }) => tenant === "bound").length;
          expect(bounded).toBeLessThanOrEqual(runningMax);
          expect(fair.boundReached("bound")).toBe(bounded === runningMax ? runningMax : null);
          // Nobody waits in vain: slots are left only where no job may start.
          if (running.length < 8) expect(left.bound === 0 || bounded === runningMax).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("gives no credit for the time at the bound: a tenant whose bound is lifted goes on at the present floor", () => {
    const fair = new FairOrder();
    fair.bound("bound", 1, 0);
    for (let job = 0; job < 10; job += 1) fair.add("bound", `a${job}`, false, 0);
    for (let job = 0; job < 10; job += 1) fair.add("busy", `b${job}`, false, 0);
    fair.noteStart("bound", 0);
    fair.remove("bound", "a0", false);
    for (const uuid of ["b0", "b1", "b2"]) {
      expect(fair.next(0)).toBe(uuid);
      fair.noteStart("busy", 0);
      fair.remove("busy", uuid, false);
      fair.noteEnd("busy", 0, 60_000);
    }
    expect(fair.next(60_000)).toBe("b3");
    fair.bound("bound", null, 60_000);
    const turns = [];
    for (let turn = 0; turn < 4; turn += 1) {
      const uuid = fair.next(60_000) ?? "";
      const tenant = uuid.startsWith("a") ? "bound" : "busy";
      turns.push(tenant);
      fair.noteStart(tenant, 60_000);
      fair.remove(tenant, uuid, false);
    }
    expect(turns.toSorted()).toEqual(["bound", "bound", "busy", "busy"]);
  });

  it("keeps a bound for a tenant that has no job, and lets go on what runs beyond a lower one", () => {
    const fair = new FairOrder();
    fair.bound("one", 1, 0);
    fair.noteStart("one", 0);
    fair.noteEnd("one", 0, 1);
    for (let job = 0; job < 3; job += 1) fair.add("one", `${job}`, false, 10);
    fair.bound("one", 3, 10);
    for (const uuid of ["0", "1"]) {
      expect(fair.next(10)).toBe(uuid);
      fair.noteStart("one", 10);
      fair.remove("one", uuid, false);
    }
    fair.bound("one", 1, 10);
    expect(fair.next(10)).toBeUndefined();
    fair.noteEnd("one", 10, 5);
    expect(fair.next(15)).toBeUndefined();
    expect(fair.isEmpty).toBe(true);
    fair.noteEnd("one", 10, 5);
    expect(fair.next(15)).toBe("2");
    fair.removeAll("one");
    expect(fair.next(15)).toBeUndefined();
  });

  it("remembers a bounded number of the tenants that came and went, those that were served most", () => {
    const fair = new FairOrder();
    for (let tenant = 0; tenant < 10 * FAIR_KEPT_MAX; tenant += 1) {
      fair.add(`t${tenant}`, "1", false, 0);
      fair.noteStart(`t${tenant}`, 0);
      fair.remove(`t${tenant}`, "1", false);
      fair.noteEnd(`t${tenant}`, 0, tenant === 5 ? 3_600_000 : 1_000);
    }
    expect(fair.tenants).toBe(FAIR_KEPT_MAX);
    fair.add("t5", "2", false, 0);
    fair.add("new", "3", false, 0);
    expect(fair.next(0)).toBe("3");
  });

  it("forgets whom the others have overtaken", () => {
    const fair = new FairOrder();
    for (let round = 0; round < 100; round += 1) {
      fair.add(`t${round}`, String(round), false, 0);
      fair.next(0);
      fair.noteStart(`t${round}`, 0);
      fair.remove(`t${round}`, String(round), false);
      fair.noteEnd(`t${round}`, 0, 1_000 - round);
    }
    expect(fair.tenants).toBe(100);
    fair.add("busy", "1", false, 0);
    fair.noteStart("busy", 0);
    fair.add("busy", "2", false, 0);
    fair.next(10_000);
    expect(fair.tenants).toBe(1);
  });

  it("chooses among 20,000 tenants that wait as quickly as among few", () => {
    const fair = new FairOrder();
    const tenants = 20_000;
    for (let tenant = 0; tenant < tenants; tenant += 1) fair.add(`t${tenant}`, `t${tenant}`, false, 0);
    const tookMs = cpuMsOf(() => {
      for (let turn = 0; turn < tenants; turn += 1) {
        const uuid = fair.next(turn) ?? "";
        fair.noteStart(uuid, turn);
        fair.remove(uuid, uuid, false);
      }
    });
    // A walk of them all takes 100 µs and more a choice, 4 s in all.
    expect(tookMs).toBeLessThan(1_000);
    expect(fair.isEmpty).toBe(true);
  });
});
