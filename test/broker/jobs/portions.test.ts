// Long work of calls in portions: one a turn, tenants in turn.
import { expect, it } from "vitest";
import { Egress } from "../../../src/broker/jobs/egress.ts";
import { Portions } from "../../../src/broker/jobs/portions.ts";

/** Until timers that are set have fired. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

it("one portion runs at once, and of those that come together one a turn, tenants in turn", async () => {
  const portions = new Portions(new Egress());
  const ran: string[] = [];
  const run = (tenantId: string, name: string) => portions.run(tenantId, () => ran.push(name));
  const all = [run("a", "a1"), run("a", "a2"), run("a", "a3"), run("b", "b1")];
  expect(ran).toEqual(["a1"]);
  const counts: number[] = [];
  while (ran.length < 4) {
    counts.push(ran.length);
    await turn();
  }
  await Promise.all(all);
  expect(counts).toEqual([1, 2, 3]);
  expect(ran).toEqual(["a1", "a2", "b1", "a3"]);
});

it("a portion that throws fails its own call, and the next one runs", async () => {
  const portions = new Portions(new Egress());
  const broken = portions.run("a", () => {
    throw new Error("broken");
  });
  const next = portions.run("a", () => 7);
  await expect(broken).rejects.toThrow("broken");
  expect(await next).toBe(7);
});
