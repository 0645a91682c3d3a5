// What may leave an object in one turn, and whose turn it is where that is scarce.
import { describe, expect, it } from "vitest";
import { TURN_BYTES_MAX, TURN_SENDS_MAX } from "../../../src/core/limits.ts";
import { TakingTurns } from "../../../src/core/scheduling/taking-turns.ts";
import { TurnBudget } from "../../../src/core/scheduling/turn-budget.ts";

describe("the budget of a turn", () => {
  it("ends where one more could be too many bytes, and is whole again in the next turn", () => {
    const budget = new TurnBudget();
    budget.spend(TURN_BYTES_MAX - 100);
    expect([budget.fits(100), budget.fits(101)]).toEqual([true, false]);
    budget.renew();
    expect(budget.fits(TURN_BYTES_MAX)).toBe(true);
    budget.spend(5);
    expect([budget.bytesMost, budget.bytesSum]).toEqual([TURN_BYTES_MAX - 100, TURN_BYTES_MAX - 95]);
  });

  it("ends after so many, however small", () => {
    const budget = new TurnBudget();
    for (let sent = 0; sent < TURN_SENDS_MAX; sent += 1) {
      expect(budget.fits(1)).toBe(true);
      budget.spend(1);
    }
    expect(budget.fits(0)).toBe(false);
    expect(budget.sendsMost).toBe(TURN_SENDS_MAX);
  });

  it("lets the first one of a turn pass, whatever its size: it would wait for ever", () => {
    expect(new TurnBudget().fits(2 * TURN_BYTES_MAX)).toBe(true);
  });
});

describe("tenants in a line", () => {
  it("take turns, and each one's own come in order", () => {
    const line = new TakingTurns<string>();
    for (const thing of ["a1", "a2", "a3", "b1", "c1", "b2"]) line.add(thing.charAt(0), thing);
    const order: (string | undefined)[] = [];
    while (!line.isEmpty) {
      expect(line.peek()).toBeDefined();
      order.push(line.take());
    }
    expect(order).toEqual(["a1", "b1", "c1", "a2", "b2", "a3"]);
    expect([line.peek(), line.take()]).toEqual([undefined, undefined]);
  });
});
