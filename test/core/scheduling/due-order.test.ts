// The deadlines of a broker: earliest first, and never many more than what lives.
import { describe, expect, it } from "vitest";
import { DueOrder } from "../../../src/core/scheduling/due-order.ts";
import { seededRandom } from "../../sim/random.ts";

describe("the order of deadlines", () => {
  it("gives the earliest first", () => {
    const random = seededRandom(1);
    const order = new DueOrder();
    const times = Array.from({ length: 500 }, () => random.integer(0, 1_000));
    for (const [at, atMs] of times.entries()) order.push({ uuid: String(at), atMs });
    const context = times.map(() => order.pop()?.atMs);
    expect(context).toEqual(times.toSorted((a, b) => a - b));
    expect(order.pop()).toBeUndefined();
  });

  it("says when more of it is overtaken than lives", () => {
    const order = new DueOrder();
    for (let made = 0; made < 1_200; made += 1) order.push({ uuid: "one", atMs: made });
    expect(order.isMostlyStale(100)).toBe(false);
    expect(order.isMostlyStale(99)).toBe(true);
  });
});
