// What ends the sleep of a carrier between two looks at its upstream.
import { expect, it } from "vitest";
import { systemClock } from "../../src/dispatch/clock.ts";
import { Nudge } from "../../src/dispatch/nudge.ts";

const LONG_MS = 60_000;
const SHORT_MS = 20;

async function sleptMs(nudge: Nudge, ms: number, signal = new AbortController().signal): Promise<number> {
  const startedMs = Date.now();
  await nudge.sleep(systemClock, ms, signal);
  return Date.now() - startedMs;
}

it("a callback while the carrier sleeps wakes it", async () => {
  const nudge = new Nudge();
  setTimeout(() => nudge.fire(), SHORT_MS);
  expect(await sleptMs(nudge, LONG_MS)).toBeLessThan(LONG_MS / 10);
});

it("callbacks while it looks end its next sleep at once, and only that one", async () => {
  const nudge = new Nudge();
  nudge.fire();
  nudge.fire();
  expect(await sleptMs(nudge, LONG_MS)).toBeLessThan(LONG_MS / 10);
  expect(await sleptMs(nudge, SHORT_MS)).toBeGreaterThanOrEqual(SHORT_MS - 5);
});

it("a lost lease wakes it, and is no callback", async () => {
  const nudge = new Nudge();
  const lost = new AbortController();
  setTimeout(() => lost.abort(), SHORT_MS);
  expect(await sleptMs(nudge, LONG_MS, lost.signal)).toBeLessThan(LONG_MS / 10);
  expect(await sleptMs(nudge, SHORT_MS)).toBeGreaterThanOrEqual(SHORT_MS - 5);
});
