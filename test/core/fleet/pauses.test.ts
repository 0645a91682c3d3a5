// How long a provider that refuses is left alone, and with what.
import { describe, expect, it } from "vitest";
import {
  beginFleet,
  candidateKey,
  noteDearer,
  noteDone,
  noteRefusal,
  providerOf,
  troubleOf,
} from "../../../src/core/fleet/fleet-state.ts";
import type { Refusal } from "../../../src/core/fleet/provider.ts";
import { reconcile } from "../../../src/core/fleet/reconcile.ts";
import { toBeGone } from "../../../src/core/fleet/take-answer.ts";
import {
  answered,
  CANDIDATE,
  factsAt,
  HOUR,
  readyMachine,
  runFleet,
  shown,
  workersOf,
} from "../../support/fleet-core.ts";

describe("a provider whose creates come to no clear answer while its lists are answered", () => {
  it("is asked after longer and longer pauses, up to two minutes", () => {
    const { called } = runFleet(
      ({ operation }) =>
        operation === "list" ? { kind: "listed", instances: [] } : { kind: "unclear", detail: "It answered 500." },
      20,
    );
    // After 2, 4, 8, 16, 32, 64 and 120 s.
    const times = called("create").map(({ atMs }) => atMs);
    expect(times.length).toBeGreaterThan(10);
    expect(times.length).toBeLessThan(20);
    expect(Math.max(...times.map((atMs, at) => atMs - (times[at - 1] ?? atMs)))).toBeLessThanOrEqual(130_000);
  });
});

describe("a provider that has asked for a pause", () => {
  const WAIT = { kind: "wait", retryAfterMs: 300_000, detail: "too many calls" } as const;

  it("is asked for nothing new within it, though its lists are answered", () => {
    const { called } = runFleet(
      ({ operation }) => (operation === "list" ? { kind: "listed", instances: [shown("abc")] } : WAIT),
      5,
      { wanted: 2, workers: workersOf(["abc", {}]) },
      beginFleet([readyMachine("abc")]),
    );
    expect(called("list").length).toBeGreaterThan(3);
    expect(called("create")).toHaveLength(1);
  });

  it("keeps it when another create is done, and loses its other troubles by that", () => {
    const leftAfter = (refusal: Refusal) =>
      troubleOf(noteDone(noteRefusal(beginFleet([]), "p1", CANDIDATE, refusal, 0, 0), "p1", "asking"), "p1")?.kind;
    expect(leftAfter(WAIT)).toBe("wait");
    expect(leftAfter({ kind: "unpaid", detail: "no money" })).toBeUndefined();
  });
});

describe("a provider that refuses several calls at once, each for another reason", () => {
  const WAIT = { kind: "wait", retryAfterMs: 300_000, detail: "too many calls" } as const;
  const RESET = { kind: "unreachable", detail: "It reset the connection." } as const;
  const refusedBy = (...refusals: readonly Refusal[]) =>
    refusals.reduce((state, refusal) => noteRefusal(state, "p1", CANDIDATE, refusal, 1_000, 0), beginFleet([]));

  it("has the longest of the pauses, in whatever order the answers come", () => {
    const expected = { kind: "wait", untilMs: 301_000 };
    expect(troubleOf(refusedBy(WAIT, RESET), "p1")).toMatchObject(expected);
    expect(troubleOf(refusedBy(RESET, WAIT), "p1")).toMatchObject(expected);
  });

  it("ends no machine before the longest pause that it has asked for, and no later than after 10 s", () => {
    const restsUntilMs = (...refusals: readonly Refusal[]) => providerOf(refusedBy(...refusals), "p1").restsUntilMs;
    expect(restsUntilMs(WAIT, { ...WAIT, retryAfterMs: 2_000 })).toBe(11_000);
    expect(restsUntilMs({ ...WAIT, retryAfterMs: 2_000 })).toBe(3_000);
  });

  it("is not asked for a machine that is too dear as soon as another one of the kind was not to be had", () => {
    const dear = noteDearer(beginFleet([]), CANDIDATE, 9_000_000_000, 1_000);
    const state = noteRefusal(dear, "p1", CANDIDATE, { kind: "no_capacity", detail: "none is left" }, 1_000, 0);
    expect(state.candidates.get(candidateKey(CANDIDATE))?.untilMs).toBe(301_000);
  });
});

describe("a machine whose ends are taken and do nothing", () => {
  const ending = beginFleet([toBeGone(readyMachine("abc"), null, 1_000_000)]);
  const { called } = runFleet(
    ({ operation }) =>
      operation === "list" ? { kind: "listed", instances: [shown("abc")] } : { kind: "done", instance: null },
    180,
    { wanted: 0 },
    ending,
  );

  it("is ended again after longer and longer pauses, and is looked for every minute at last", () => {
    const ends = called("end").map(({ atMs }) => atMs);
    const pauses = ends.slice(1).map((atMs, at) => atMs - (ends[at] ?? atMs));
    expect(pauses[0]).toBeLessThan(45_000);
    expect(Math.max(...pauses)).toBeGreaterThan(150_000);
    expect(Math.max(...pauses)).toBeLessThan(240_000);
    const lastHour = called("list").filter(({ atMs }) => atMs >= 1_000_000 + 2 * HOUR);
    expect(lastHour.length).toBeGreaterThan(50);
    expect(lastHour.length).toBeLessThanOrEqual(61);
  });
});

describe("a provider that refuses its lists as wrong", () => {
  it.each(["bad_config", "no_capacity"] as const)("is asked for one more and more seldom: %s", (kind) => {
    const { called, state } = runFleet(
      () => ({ kind, detail: "400" }),
      10,
      { workers: workersOf(["abc", {}]) },
      beginFleet([readyMachine("abc")]),
    );
    expect(called("list").length).toBeLessThan(12);
    // Nothing tells that it would refuse a create.
    expect(troubleOf(state, "p1")).toBeNull();
  });
});

describe("a machine whose end and lists are refused", () => {
  const DENIED = { kind: "denied", detail: "the key is revoked" } as const;
  /** The calls of so many days. */
  function callsOf(days: number) {
    let state = beginFleet([toBeGone(readyMachine("abc"), null, HOUR)]);
    let nowMs = HOUR;
    const calls: { readonly operation: string; readonly atMs: number }[] = [];
    while (nowMs < HOUR + days * 24 * HOUR) {
      const plan = reconcile(state, factsAt(nowMs, { wanted: 0 }));
      state = plan.state;
      for (const call of plan.calls) {
        calls.push({ operation: call.operation, atMs: nowMs });
        state = answered(state, call, DENIED, nowMs + 100);
      }
      nowMs = plan.calls.length > 0 ? nowMs + 200 : Math.max(plan.nextAtMs, nowMs + 200);
    }
    return { calls, state };
  }

  it("is tried every two minutes at first, and once an hour in the end", () => {
    const { calls, state } = callsOf(30);
    for (const operation of ["end", "list"]) {
      const times = calls.filter((call) => call.operation === operation).map(({ atMs }) => atMs - HOUR);
      expect(times.filter((ms) => ms < HOUR).length).toBeGreaterThan(25);
      expect(times.filter((ms) => ms >= 29 * 24 * HOUR).length).toBeGreaterThanOrEqual(23);
      expect(times.filter((ms) => ms >= 29 * 24 * HOUR).length).toBeLessThanOrEqual(25);
    }
    expect(state.instances.get("abc")).toMatchObject({ phase: "stopping", lastError: DENIED.detail });
  });

  it("is looked for at once when its end is done after all", () => {
    const { state } = callsOf(3);
    const nowMs = HOUR + 75 * HOUR;
    const plan = reconcile(state, factsAt(nowMs, { wanted: 0 }));
    const end = plan.calls.find(({ operation }) => operation === "end");
    if (end === undefined) throw new Error("no end is asked for");
    const done = answered(plan.state, end, { kind: "done", instance: null }, nowMs + 100);
    expect(done.providers.get("p1")?.listNotBeforeMs).toBe(0);
  });
});

describe("a machine that is not needed", () => {
  const READY = beginFleet([readyMachine("abc"), readyMachine("def")]);

  it.each<[Refusal, number]>([
    [{ kind: "unpaid", detail: "no money" }, 10_000],
    [{ kind: "denied", detail: "wrong key" }, 10_000],
    [{ kind: "unreachable", detail: "refused" }, 10_000],
    [{ kind: "no_capacity", detail: "none" }, 10_000],
    [{ kind: "wait", retryAfterMs: 300_000, detail: "too many calls" }, 20_000],
    [{ kind: "wait", retryAfterMs: 4_000, detail: "too many calls" }, 14_000],
  ])("is ended whatever creates were told, such as %o", (refusal, endedAtMs) => {
    let state = noteRefusal(READY, "p1", CANDIDATE, refusal, 10_000, 0);
    let nowMs = 10_000;
    const ends: number[] = [];
    while (nowMs < 60_000 && ends.length === 0) {
      const plan = reconcile(state, factsAt(nowMs, { wanted: 0, workers: workersOf(["abc", {}], ["def", {}]) }));
      state = plan.state;
      ends.push(...plan.calls.flatMap(({ operation }) => (operation === "end" ? [nowMs] : [])));
      nowMs = Math.max(plan.nextAtMs, nowMs + 1);
    }
    expect(ends).toEqual([endedAtMs, endedAtMs]);
  });
});
