// A lease over starts of the object: one grace since its newest renewal, whoever starts, and nothing billed for it unless its
// carrier reports.
import { describe, expect, it } from "vitest";
import type { JobEvent } from "../../../src/core/job/event.ts";
import { Graces, staysInMemory } from "../../../src/core/job/graces.ts";
import { dueAtMs, type Job, type Lease, leaseEndMs, NOT_RUN } from "../../../src/core/job/job.ts";
import { type Context, transition } from "../../../src/core/job/transition.ts";
import { LEASE_MS, WORKER_LEASE_MS } from "../../../src/core/limits.ts";

const STARTED = 1_000_000;

function lease(overrides: Partial<Lease> = {}): Lease {
  return {
    token: "lease-1",
    holderId: "gpu-1",
    workerKeyId: null,
    byClient: false,
    tier: "a4000",
    rateKind: "flex",
    slots: 1,
    nanodollarsPerSecond: 160_000,
    startedAtMs: STARTED,
    untilMs: STARTED + LEASE_MS,
    graceUntilMs: 0,
    incarnation: "object-1",
    ...overrides,
  };
}

function running(held: Lease): Job {
  return {
    ...NOT_RUN,
    history: [],
    uuid: "018f0000-0000-7000-8000-000000000003",
    mode: "run",
    tenantId: "tenant-a",
    origin: null,
    stored: null,
    status: "IN_PROGRESS",
    createdAtMs: STARTED,
    queuedAtMs: STARTED,
    queueSeq: 1,
    ttlAtMs: STARTED + 3_600_000,
    executionTimeoutMs: 600_000,
    lowPriority: false,
    retentionMs: 60_000,
    round: 0,
    attempts: 1,
    formerWorkers: [],
    lease: held,
    webhook: null,
  };
}

function at(nowMs: number, incarnation: string): Context {
  const numbers = { nextQueueSeq: 2, nextFinishSeq: 1, jitter: 0 };
  return { nowMs, incarnation, maxAttempts: 2, workerSeenAtMs: 0, ...numbers };
}

describe("a lease that a start finds running", () => {
  const FOUND = STARTED + 60_000;

  it("is given one period of its own kind, and not a second one by the next start", () => {
    const pushed = lease();
    const pulled = lease({ workerKeyId: "key-1" });
    const first = new Graces([]);
    expect(leaseEndMs(first.resume(pushed, FOUND))).toBe(FOUND + LEASE_MS);
    expect(leaseEndMs(first.resume(pulled, FOUND))).toBe(FOUND + WORKER_LEASE_MS);
    const second = new Graces(first.toStore() ?? []);
    expect(leaseEndMs(second.resume(pushed, FOUND + 20_000))).toBe(FOUND + LEASE_MS);
    expect(leaseEndMs(second.resume(pulled, FOUND + 20_000))).toBe(FOUND + WORKER_LEASE_MS);
    expect(second.toStore()).toBeNull();
  });

  it("is given another one after a renewal, which alone is written", () => {
    const graces = new Graces([["object-1", FOUND]]);
    const found = running(graces.resume(lease(), FOUND));
    const renew: JobEvent = { kind: "renew", token: "lease-1" };
    const renewed = transition(found, renew, at(FOUND + 1_000, "object-2")).job;
    expect(staysInMemory(renew, found, renewed)).toBe(false);
    expect(renewed.lease).toMatchObject({ untilMs: FOUND + 1_000 + LEASE_MS, graceUntilMs: 0 });
    const again = transition(renewed, renew, at(FOUND + 2_000, "object-2")).job;
    expect(staysInMemory(renew, renewed, again)).toBe(true);
    const next = new Graces([["object-1", FOUND]]);
    if (renewed.lease === null) throw new Error("the renewal ended the lease");
    expect(leaseEndMs(next.resume(renewed.lease, FOUND + 50_000))).toBe(FOUND + 50_000 + LEASE_MS);
    // Nothing of the first incarnation runs any more.
    expect(next.toStore()).toEqual([["object-2", FOUND + 50_000]]);
  });

  it("costs one entry for each incarnation, however many leases it left", () => {
    const graces = new Graces([]);
    for (let count = 0; count < 500; count += 1) graces.resume(lease({ token: `lease-${count}` }), FOUND);
    expect(graces.toStore()).toEqual([["object-1", FOUND]]);
    expect(new Graces([]).toStore()).toBeNull();
  });

  it("is not prolonged by a clock that was ahead when its grace was stored", () => {
    const graces = new Graces([["object-1", FOUND + 3_600_000]]);
    expect(leaseEndMs(graces.resume(lease(), FOUND))).toBe(FOUND + LEASE_MS);
  });
});

describe("a job in its grace", () => {
  const FOUND = STARTED + 300_000;
  const found = running(lease({ graceUntilMs: FOUND + LEASE_MS }));

  it("is due at the end of it, and then waits again, unbilled", () => {
    expect(dueAtMs(found, FOUND)).toBe(FOUND + LEASE_MS + 1);
    expect(transition(found, { kind: "time" }, at(FOUND + LEASE_MS, "object-2")).job).toBe(found);
    const lost = transition(found, { kind: "time" }, at(FOUND + LEASE_MS + 1, "object-2")).job;
    expect(lost).toMatchObject({ status: "IN_QUEUE", restarts: 1, countedFailures: 0, bill: null });
  });

  it.each([
    ["its cancel", { kind: "cancel" }, FOUND + 5_000],
    ["its ttl", { kind: "time" }, STARTED + 3_600_000],
    ["its execution timeout", { kind: "time" }, STARTED + 600_000],
  ] as const)("is billed by %s for the time for which its lease was renewed, and nothing after", (_, event, nowMs) => {
    const ended = transition(found, event, at(nowMs, "object-2")).job;
    expect(ended).toMatchObject({ executionMs: LEASE_MS, bill: { seconds: LEASE_MS / 1_000 } });
  });

  it("is billed until now when its carrier reports", () => {
    const outcome = { kind: "completed", output: null } as const;
    const report: JobEvent = { kind: "finish", token: "lease-1", outcome };
    const ended = transition(found, report, at(FOUND + 5_000, "object-2")).job;
    expect(ended).toMatchObject({ status: "COMPLETED", executionMs: 305_000, bill: { seconds: 305 } });
    expect(transition(found, report, at(FOUND + LEASE_MS + 1, "object-2")).reply).toBe("stale");
  });
});
