// The line of a load-balanced endpoint: fair between tenants, in order of arrival for each.
import { describe, expect, it } from "vitest";
import { findYielding, inFairOrder } from "../../../src/core/lb/line.ts";

/** `a1 a2 b1`: tenant and number of each place. */
function lineOf(text: string): { readonly tenantId: string; readonly name: string }[] {
  return text.split(" ").map((name) => ({ tenantId: name.charAt(0), name }));
}

describe("the next slot", () => {
  it.each([
    ["a1 a2 a3", {}, "a1 a2 a3"],
    ["a1 a2 a3 b1", {}, "a1 b1 a2 a3"],
    ["a1 a2 b1 b2", {}, "a1 b1 a2 b2"],
    ["a1 a2 b1", { a: 5 }, "b1 a1 a2"],
    ["a1 a2 b1 b2 b3", { a: 1 }, "b1 a1 b2 a2 b3"],
    ["c1 a1 b1", { a: 1, b: 1, c: 1 }, "c1 a1 b1"],
  ])("of %s, where %j run, is given in the order %s", (text, running: Readonly<Record<string, number>>, order) => {
    const shareOf = (tenantId: string) => ({ running: running[tenantId] ?? 0, servedAt: 0 });
    const names = inFairOrder(lineOf(text), shareOf).map(({ name }) => name);
    expect(names.join(" ")).toBe(order);
  });

  it("goes to the tenant that was served longest ago, where as many of each run", () => {
    const servedAt = new Map([
      ["a", 3],
      ["b", 2],
    ]);
    const shareOf = (tenantId: string) => ({ running: 1, servedAt: servedAt.get(tenantId) ?? 0 });
    const names = inFairOrder(lineOf("a1 a2 b1 b2 c1"), shareOf).map(({ name }) => name);
    expect(names.join(" ")).toBe("c1 b1 a1 b2 a2");
  });
});

describe("a full line", () => {
  it.each([
    ["a1 a2 a3", "b", "a3"],
    ["a1 a2 b1 a3", "b", "a3"],
    ["a1 a2 b1", "b", null],
    ["a1 a2 a3", "a", null],
    ["b1 a1 b2 a2 b3", "a", null],
    ["b1 b2 a1 b3 b4", "a", "b4"],
    ["a1", "b", null],
  ])("%s lets a newcomer of tenant %s have the place of %s", (text, tenantId, name) => {
    expect(findYielding(lineOf(text), tenantId)?.name ?? null).toBe(name);
  });
});
