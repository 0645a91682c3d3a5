// Upstreams as a broker sees them: slots, pauses and trials.
import { describe, expect, it } from "vitest";
import { UpstreamPool } from "../../src/core/upstream-pool.ts";

function pool(slots: number): UpstreamPool {
  const made = new UpstreamPool();
  made.configure([{ id: "up", slots, rateKind: "flex" }], 0);
  return made;
}

describe("a troubled upstream", () => {
  it("pauses for one second when ten jobs that started together are refused together", () => {
    const upstreams = pool(10);
    for (let job = 0; job < 10; job += 1) upstreams.occupy("up", 0);
    for (let job = 0; job < 10; job += 1) {
      upstreams.pause("up", "refused", null, 10, 0);
      upstreams.release("up");
    }
    expect(upstreams.nextTryAtMs(10)).toBe(1_010);
  });

  it("is tried with one job, and pauses twice as long when that is refused too", () => {
    const upstreams = pool(10);
    upstreams.occupy("up", 0);
    upstreams.pause("up", "refused", null, 0, 0);
    upstreams.release("up");
    expect(upstreams.freeSlots(999)).toBe(0);
    expect(upstreams.freeSlots(1_000)).toBe(1);
    upstreams.occupy("up", 1_000);
    expect(upstreams.freeSlots(1_000)).toBe(0);
    upstreams.pause("up", "refused", null, 1_001, 0);
    upstreams.release("up");
    expect(upstreams.nextTryAtMs(1_001)).toBe(3_001);
  });

  it("has all its slots again at the first sign of work", () => {
    const upstreams = pool(3);
    upstreams.markUnhealthy("up", "401", 0);
    expect(upstreams.describe(0).reason).toBe("UPSTREAM_UNHEALTHY");
    upstreams.occupy("up", 15_000);
    upstreams.markOk("up", 15_010);
    expect(upstreams.freeSlots(15_010)).toBe(2);
  });
});
