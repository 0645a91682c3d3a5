// Upstreams as a broker sees them: slots, pauses and trials.
import { describe, expect, it } from "vitest";
import { holderOfWorker } from "../../../src/core/job/worker-id.ts";
import { TrialTurns } from "../../../src/core/scheduling/trial-turns.ts";
import { UpstreamPool } from "../../../src/core/scheduling/upstream-pool.ts";

function pool(slots: number): UpstreamPool {
  const made = new UpstreamPool();
  made.configure([{ id: "up", slots, rateKind: "flex" }], 0);
  return made;
}

/** A pulling worker that asks for one job, and is paused at 0 for a second. */
function pausedWorker(slots: number) {
  const workers = new UpstreamPool();
  const id = holderOfWorker("key1", "w1");
  const member = { id, slots, rateKind: "flex" } as const;
  workers.ask(member, 1, 0);
  workers.pause(id, "crash", null, 0, 0);
  return { workers, id, member };
}

describe("a troubled upstream", () => {
  it("pauses for one second when ten jobs that started together are refused together", () => {
    const upstreams = pool(10);
    for (let job = 0; job < 10; job += 1) upstreams.occupy("up", `lease-${job}`, 0);
    for (let job = 0; job < 10; job += 1) {
      upstreams.pause("up", "refused", null, 10, 0);
      upstreams.release("up");
    }
    expect(upstreams.nextTryAtMs(10)).toBe(1_010);
  });

  it("is tried with one job, and pauses twice as long when that is refused too", () => {
    const upstreams = pool(10);
    upstreams.occupy("up", "first", 0);
    upstreams.pause("up", "refused", null, 0, 0);
    upstreams.release("up");
    expect(upstreams.freeSlots(999)).toBe(0);
    expect(upstreams.freeSlots(1_000)).toBe(1);
    upstreams.occupy("up", "trial", 1_000);
    expect(upstreams.freeSlots(1_000)).toBe(0);
    upstreams.pause("up", "refused", null, 1_001, 0);
    upstreams.release("up");
    expect(upstreams.nextTryAtMs(1_001)).toBe(3_001);
  });

  it("has all its slots again at the first sign of work", () => {
    const upstreams = pool(3);
    upstreams.markUnhealthy("up", "401", 0);
    expect(upstreams.describe(0).reason).toBe("UPSTREAM_UNHEALTHY");
    upstreams.occupy("up", "trial", 15_000);
    upstreams.markOk("up", "trial", "heartbeat", 15_010);
    expect(upstreams.freeSlots(15_010)).toBe(2);
  });

  it("is not cleared by a heartbeat of a job that was there before, nor by its answer when it asked for the pause", () => {
    const upstreams = pool(3);
    upstreams.occupy("up", "before", 0);
    upstreams.occupy("up", "refused", 0);
    upstreams.pause("up", "429", 600_000, 0, 0);
    upstreams.release("up");
    upstreams.markOk("up", "before", "heartbeat", 1_000);
    upstreams.markOk("up", "before", "answer", 1_000);
    expect(upstreams.freeSlots(1_000)).toBe(0);
    expect(upstreams.nextTryAtMs(1_000)).toBe(600_000);
  });
});

describe("a slot", () => {
  it("stays taken after a cancel until its carrier lets go, or until its lease would have ended", () => {
    const upstreams = pool(2);
    upstreams.occupy("up", "let go", 0);
    upstreams.occupy("up", "lost", 0);
    upstreams.linger("up", "let go", 30_000);
    upstreams.linger("up", "lost", 30_000);
    expect(upstreams.freeSlots(1_000)).toBe(0);
    expect(upstreams.nextTryAtMs(1_000)).toBe(30_000);
    expect(upstreams.letGo("let go")).toBe(true);
    expect(upstreams.letGo("let go")).toBe(false);
    expect(upstreams.freeSlots(1_000)).toBe(1);
    expect(upstreams.freeSlots(30_000)).toBe(2);
  });
});

describe("the choice of an upstream", () => {
  function pair(): UpstreamPool {
    const made = new UpstreamPool();
    const member = { slots: 1, rateKind: "flex" } as const;
    made.configure(
      [
        { id: "bad", ...member },
        { id: "sound", ...member },
      ],
      0,
    );
    return made;
  }

  it("avoids the one where the job has failed while another is sound, also while that one is busy", () => {
    const upstreams = pair();
    expect(upstreams.choose(0, { avoidId: "bad", mayTake: () => true })).toBe("sound");
    upstreams.occupy("sound", "lease", 0);
    expect(upstreams.choose(0, { avoidId: "bad", mayTake: () => true })).toBeNull();
    expect(upstreams.choose(0, { avoidId: null, mayTake: () => true })).toBe("bad");
  });

  it("falls back on it when no other is sound", () => {
    const upstreams = pair();
    upstreams.markUnhealthy("sound", "401", 0);
    expect(upstreams.choose(0, { avoidId: "bad", mayTake: () => true })).toBe("bad");
  });
});

it("jobs that started together and are refused one by one, also after the pause, count as one failure", () => {
  const upstreams = pool(10);
  for (let job = 0; job < 10; job += 1) upstreams.occupy("up", `lease-${job}`, 0);
  for (const atMs of [0, 1_100, 3_200, 7_300]) {
    upstreams.pause("up", "refused", null, atMs, 0);
    upstreams.release("up");
  }
  expect(upstreams.freeSlots(7_300)).toBe(1);
});

describe("the trial of a troubled upstream", () => {
  it("that ends without news of the upstream leaves its turn to the next job at once", () => {
    const upstreams = pool(1);
    upstreams.markUnhealthy("up", "401", 0);
    upstreams.occupy("up", "trial", 15_000);
    upstreams.release("up");
    upstreams.endTrial("up", "trial", false, 15_100);
    expect(upstreams.freeSlots(15_100)).toBe(1);
  });

  it("is not ended by a job that is not it, nor made earlier where it was refused", () => {
    const upstreams = pool(2);
    upstreams.markUnhealthy("up", "401", 0);
    upstreams.occupy("up", "trial", 15_000);
    upstreams.endTrial("up", "another", false, 15_100);
    expect(upstreams.freeSlots(15_100)).toBe(0);
    upstreams.markUnhealthy("up", "401", 15_200);
    upstreams.release("up");
    upstreams.endTrial("up", "trial", false, 15_200);
    expect(upstreams.nextTryAtMs(15_200)).toBe(30_200);
  });

  it("of a pulling worker is made again at once only where the worker never saw the job, and once", () => {
    const { workers, id, member } = pausedWorker(1);
    const tryOnce = (token: string, isUnseen: boolean, nowMs: number) => {
      workers.occupy(id, token, nowMs);
      workers.release(id);
      workers.ask(member, 1, nowMs);
      workers.endTrial(id, token, isUnseen, nowMs);
    };
    tryOnce("unseen", true, 2_000);
    expect(workers.freeSlots(2_000)).toBe(1);
    tryOnce("unseen again", true, 2_000);
    expect(workers.freeSlots(16_999)).toBe(0);
    expect(workers.freeSlots(17_000)).toBe(1);
    workers.pause(id, "crash", null, 17_000, 0);
    tryOnce("seen", false, 20_000);
    expect(workers.freeSlots(34_999)).toBe(0);
    expect(workers.freeSlots(35_000)).toBe(1);
    workers.pause(id, "crash", null, 35_000, 0);
    tryOnce("unseen in the next pause", true, 40_000);
    expect(workers.freeSlots(40_000)).toBe(1);
  });

  it("that ends without news hides no failure of another job: the pause begins anew", () => {
    const { workers, id, member } = pausedWorker(2);
    workers.occupy(id, "older", 2_000);
    workers.ask(member, 1, 17_000);
    workers.occupy(id, "newer", 17_000);
    workers.release(id);
    workers.ask(member, 1, 17_010);
    workers.endTrial(id, "newer", true, 17_010);
    workers.release(id);
    workers.pause(id, "it lost the older one", null, 17_020, 0);
    expect(workers.freeSlots(17_020)).toBe(0);
    expect(workers.look(id)).toMatchObject({ detail: "it lost the older one" });
  });

  it("is never the same job twice in a row while others wait", () => {
    const upstreams = pool(1);
    const turns = new TrialTurns(upstreams);
    upstreams.markUnhealthy("up", "401", 0);
    turns.refused("up", "poison");
    expect(turns.mayTry("up", "poison", true)).toBe(false);
    expect(turns.mayTry("up", "poison", false)).toBe(true);
    expect(turns.mayTry("up", "peer", true)).toBe(true);
    upstreams.occupy("up", "trial", 15_000);
    upstreams.markOk("up", "trial", "answer", 15_001);
    expect(turns.mayTry("up", "poison", true)).toBe(true);
  });
});
