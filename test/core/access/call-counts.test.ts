// The calls of keys: counted by key, endpoint and operation, in windows and while they are open, in bounded memory.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CallCounts, limitOf } from "../../../src/core/access/call-counts.ts";
import {
  CALLS_WINDOW_SECONDS,
  COUNTED_CALLS_MAX,
  OPEN_COUNTED_MAX_MS,
  OPERATION_LIMITS,
  type OperationLimit,
} from "../../../src/core/access/limits.ts";
import { seededRandom } from "../../sim/random.ts";

const WINDOW_MS = CALLS_WINDOW_SECONDS * 1_000;
const NOW_MS = 180_000 * WINDOW_MS;

function call(limit: OperationLimit, partial: { readonly keyId?: string; readonly endpointId?: string } = {}) {
  return { keyId: "key", endpointId: "ep", operation: "run", limit, ...partial } as const;
}

describe("the calls of a key", () => {
  it("are told what is left, and refused beyond the quota until the window ends", () => {
    const counts = new CallCounts();
    const limit = { calls: 2, open: null };
    expect(counts.take(call(limit), NOW_MS + 2_500)).toMatchObject({
      policy: '"run";q=2;w=10',
      rest: '"run";r=1;t=8',
      refusal: null,
    });
    expect(counts.take(call(limit), NOW_MS + 2_500).refusal).toBeNull();
    const refused = counts.take(call(limit), NOW_MS + 2_500);
    expect(refused).toMatchObject({
      rest: '"run";r=0;t=8',
      refusal: { full: "calls", max: 2, retryAfterSeconds: 8 },
    });
    expect(counts.take(call(limit), NOW_MS + 2_500 + 8_000).refusal).toBeNull();
  });

  it("are counted for each key, endpoint and operation apart", () => {
    const counts = new CallCounts();
    const limit = { calls: 1, open: null };
    const others = [call(limit, { keyId: "other" }), call(limit, { endpointId: "other" })];
    for (const each of [call(limit), ...others, { ...call(limit), operation: "runsync" } as const]) {
      expect(counts.take(each, NOW_MS).refusal).toBeNull();
      expect(counts.take(each, NOW_MS).refusal?.full).toBe("calls");
    }
  });

  it("that are open are bounded, and a call that ends twice makes room once", () => {
    const counts = new CallCounts();
    const limit = { calls: 100, open: 2 };
    const [first, second] = [counts.take(call(limit), NOW_MS), counts.take(call(limit), NOW_MS)];
    expect(first.policy).toBe('"run";q=100;w=10, "run-open";q=2;qu="concurrent-requests"');
    expect(counts.take(call(limit), NOW_MS)).toMatchObject({
      rest: '"run";r=97;t=10, "run-open";r=0;t=1',
      refusal: { full: "open", max: 2, retryAfterSeconds: 1 },
    });
    first.leave();
    first.leave();
    expect(counts.take(call(limit), NOW_MS).refusal).toBeNull();
    expect(counts.take(call(limit), NOW_MS).refusal?.full).toBe("open");
    second.leave();
    expect(counts.take(call(limit), NOW_MS).refusal).toBeNull();
  });

  it("that nobody ends are counted no more after a while", () => {
    const counts = new CallCounts();
    const limit = { calls: 100, open: 1 };
    counts.take(call(limit), NOW_MS);
    expect(counts.take(call(limit), NOW_MS + OPEN_COUNTED_MAX_MS - 1).refusal?.full).toBe("open");
    expect(counts.take(call(limit), NOW_MS + OPEN_COUNTED_MAX_MS).refusal).toBeNull();
  });

  it("follow another limit at once", () => {
    const counts = new CallCounts();
    expect(counts.take(call({ calls: 1, open: null }), NOW_MS).refusal).toBeNull();
    expect(counts.take(call({ calls: 3, open: null }), NOW_MS).rest).toBe('"run";r=1;t=10');
    expect(counts.take(call({ calls: 2, open: null }), NOW_MS).refusal?.full).toBe("calls");
  });

  it("take a bounded memory: the count that was unused for longest is forgotten", () => {
    const counts = new CallCounts();
    const limit = { calls: 1, open: null };
    for (let key = 0; key < COUNTED_CALLS_MAX; key += 1) counts.take(call(limit, { keyId: `${key}` }), NOW_MS);
    counts.take(call(limit, { keyId: "0" }), NOW_MS);
    for (let key = 0; key < COUNTED_CALLS_MAX / 2; key += 1) counts.take(call(limit, { keyId: `new ${key}` }), NOW_MS);
    expect(counts.size).toBe(COUNTED_CALLS_MAX);
    expect(counts.take(call(limit, { keyId: "0" }), NOW_MS).refusal?.full).toBe("calls");
    expect(counts.take(call(limit, { keyId: "1" }), NOW_MS).refusal).toBeNull();
  });

  it("never exceed quota or bound, and whoever obeys Retry-After is served, by any seed", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = seededRandom(seed);
        const counts = new CallCounts();
        const limit = { calls: random.integer(1, 40), open: random.pick([null, random.integer(1, 8)]) };
        const served = new Map<number, number>();
        const open: { readonly endsAtMs: number; readonly leave: () => void }[] = [];
        // One client waits as it is told; the others do not.
        let obedientAtMs = NOW_MS;
        let refusals = 0;
        for (let nowMs = NOW_MS; nowMs < NOW_MS + 4 * WINDOW_MS; nowMs += random.integer(1, 400)) {
          for (const ended of open.filter(({ endsAtMs }) => endsAtMs <= nowMs)) {
            ended.leave();
            open.splice(open.indexOf(ended), 1);
          }
          const isObedient = nowMs >= obedientAtMs;
          const taken = counts.take(call(limit), nowMs);
          const window = Math.floor(nowMs / WINDOW_MS);
          if (taken.refusal === null) {
            served.set(window, (served.get(window) ?? 0) + 1);
            open.push({ endsAtMs: nowMs + random.integer(1, 3_000), leave: taken.leave });
            if (isObedient) refusals = 0;
          } else if (isObedient) {
            obedientAtMs = nowMs + taken.refusal.retryAfterSeconds * 1_000;
            refusals += taken.refusal.full === "calls" ? 1 : 0;
          }
          expect(taken.refusal?.retryAfterSeconds ?? 1).toBeGreaterThanOrEqual(1);
          expect(open.length).toBeLessThanOrEqual(limit.open ?? Number.POSITIVE_INFINITY);
        }
        for (const calls of served.values()) expect(calls).toBeLessThanOrEqual(limit.calls);
        // Who waits until the window is over comes before the flood has used up the next one.
        if (limit.calls > 10 && limit.open === null) expect(refusals).toBeLessThanOrEqual(1);
      }),
      { numRuns: 300 },
    );
  });
});

it("the limits of a tenant are the default ones but for those that were changed", () => {
  const changed = { run: { calls: 5, open: null } };
  expect(limitOf("run", changed)).toEqual({ calls: 5, open: null });
  expect(limitOf("cancel", changed)).toEqual(OPERATION_LIMITS.cancel);
  expect(limitOf("run", null)).toEqual({ calls: 1_000, open: 200 });
});
