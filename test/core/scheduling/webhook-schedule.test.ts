// When webhooks are sent: by their time, six at once of a tenant to a host, in turns where all is scarce, and again when a
// sender is lost.
import { describe, expect, it } from "vitest";
import {
  WEBHOOK_HOST_IN_FLIGHT_MAX,
  WEBHOOK_PAYLOAD_MAX_BYTES,
  WEBHOOK_SEND_MAX_MS,
  WEBHOOKS_IN_FLIGHT_MAX,
  WEBHOOKS_IN_FLIGHT_MAX_BYTES,
} from "../../../src/core/limits.ts";
import { WebhookSchedule } from "../../../src/core/scheduling/webhook-schedule.ts";

const HERE = { tenantId: "a", host: "a.example" };

/** Everything that may be sent at a time, each of it so heavy. */
function takeAll(schedule: WebhookSchedule, nowMs: number, bytes = 0): string[] {
  const taken: string[] = [];
  for (let key = schedule.take(nowMs); key !== undefined; key = schedule.take(nowMs)) {
    schedule.weigh(key, bytes);
    taken.push(key);
  }
  return taken;
}

function planMany(schedule: WebhookSchedule, count: number, tenantId: string, hostOf: (n: number) => string): void {
  for (let n = 0; n < count; n += 1) schedule.plan(`${tenantId}-${n}`, { tenantId, host: hostOf(n) }, n / count);
}

const ofTenant = (keys: readonly string[], tenantId: string) => keys.filter((key) => key.startsWith(`${tenantId}-`));

describe("the schedule of webhooks", () => {
  it("sends each at its time, and says when to look again", () => {
    const schedule = new WebhookSchedule();
    schedule.plan("late", HERE, 500);
    schedule.plan("soon", HERE, 100);
    expect(schedule.nextAtMs(0)).toBe(100);
    expect(takeAll(schedule, 99)).toEqual([]);
    expect(takeAll(schedule, 100)).toEqual(["soon"]);
    expect(schedule.nextAtMs(100)).toBe(500);
  });

  it("has at most six in flight to one host, and others do not wait for it", () => {
    const schedule = new WebhookSchedule();
    planMany(schedule, 10, "slow", () => "slow.example");
    schedule.plan("quick", { tenantId: "slow", host: "quick.example" }, 0);
    const first = takeAll(schedule, 1);
    expect(first).toHaveLength(WEBHOOK_HOST_IN_FLIGHT_MAX + 1);
    expect(first).toContain("quick");
    expect(schedule.hasReady(1)).toBe(false);
    schedule.drop(first.find((key) => key !== "quick") ?? "");
    expect(takeAll(schedule, 1)).toHaveLength(1);
  });

  it("sends one again when its sender is lost, and not while it is under way", () => {
    const schedule = new WebhookSchedule();
    schedule.plan("one", HERE, 0);
    expect(takeAll(schedule, 0)).toEqual(["one"]);
    schedule.plan("one", HERE, 0);
    expect(takeAll(schedule, WEBHOOK_SEND_MAX_MS - 1)).toEqual([]);
    expect(schedule.nextAtMs(1)).toBe(WEBHOOK_SEND_MAX_MS);
    expect(takeAll(schedule, WEBHOOK_SEND_MAX_MS)).toEqual(["one"]);
  });

  it("keeps a flight under its new key", () => {
    const schedule = new WebhookSchedule();
    schedule.plan("job", HERE, 0);
    takeAll(schedule, 0);
    schedule.rename("job", "job/0");
    expect(takeAll(schedule, 1)).toEqual([]);
    schedule.land("job/0");
    expect(takeAll(schedule, 1)).toEqual(["job/0"]);
    schedule.plan("job/0", HERE, 9_000);
    expect(schedule.nextAtMs(1)).toBe(9_000);
    schedule.drop("job/0");
    expect(schedule.nextAtMs(1)).toBe(Number.POSITIVE_INFINITY);
  });

  it("gives a tenant all of its six to a host whose calls of another tenant hang", () => {
    const schedule = new WebhookSchedule();
    planMany(schedule, 5_000, "slow", () => "shared.example");
    expect(takeAll(schedule, 1)).toHaveLength(WEBHOOK_HOST_IN_FLIGHT_MAX);
    planMany(schedule, 10, "quick", () => "shared.example");
    expect(ofTenant(takeAll(schedule, 1), "quick")).toHaveLength(WEBHOOK_HOST_IN_FLIGHT_MAX);
  });
});

describe("webhooks that fall due by thousands", () => {
  it("are sorted in by portions, and hide nobody's that fell due after them", () => {
    const schedule = new WebhookSchedule();
    planMany(schedule, 5_000, "slow", () => "slow.example");
    schedule.plan("quick", { tenantId: "quick", host: "quick.example" }, 2);
    const taken: string[] = [];
    let looks = 0;
    do {
      taken.push(...takeAll(schedule, 3));
      looks += 1;
    } while (schedule.isBehind(3));
    expect(looks).toBeLessThan(10);
    expect(taken).toHaveLength(WEBHOOK_HOST_IN_FLIGHT_MAX + 1);
    expect(taken).toContain("quick");
  });
});

describe("the webhooks in flight together", () => {
  it("are bounded in number, and leave room for a tenant that comes later", () => {
    const schedule = new WebhookSchedule();
    for (const tenantId of ["a", "b", "c"]) {
      planMany(schedule, 1_000, tenantId, (n) => `${n}.example`);
      // Each has less than what is free, so the newcomer finds some.
      expect(ofTenant(takeAll(schedule, 1), tenantId).length).toBeGreaterThanOrEqual(WEBHOOKS_IN_FLIGHT_MAX / 8);
    }
    planMany(schedule, 1, "d", () => "d.example");
    expect(takeAll(schedule, 1)).toContain("d-0");
  });

  it("are bounded in bytes, and leave room for a tenant that comes later", () => {
    const schedule = new WebhookSchedule();
    planMany(schedule, 1_000, "a", (n) => `${n}.example`);
    const heavy = takeAll(schedule, 1, WEBHOOK_PAYLOAD_MAX_BYTES);
    expect(heavy.length * WEBHOOK_PAYLOAD_MAX_BYTES).toBeLessThanOrEqual(WEBHOOKS_IN_FLIGHT_MAX_BYTES);
    expect(heavy.length).toBeGreaterThanOrEqual(7);
    expect(schedule.hasReady(1)).toBe(false);
    planMany(schedule, 1, "b", () => "b.example");
    expect(takeAll(schedule, 1, WEBHOOK_PAYLOAD_MAX_BYTES)).toEqual(["b-0"]);
    schedule.land(heavy[0] ?? "");
    expect(schedule.hasReady(1)).toBe(true);
  });

  it("go out one tenant after the other, and one host of a tenant after the other", () => {
    const schedule = new WebhookSchedule();
    planMany(schedule, 12, "a", (n) => `${n % 2}.example`);
    planMany(schedule, 2, "b", () => "0.example");
    const order = Array.from({ length: 6 }, () => schedule.take(1));
    expect(order).toEqual(["a-0", "b-0", "a-1", "b-1", "a-2", "a-3"]);
  });

  it("are each sent once, whatever lands, is lost, or is planned again", () => {
    const schedule = new WebhookSchedule();
    const left = new Map<string, number>();
    for (let n = 0; n < 2_000; n += 1) {
      const key = `w-${n}`;
      left.set(key, 1);
      schedule.plan(key, { tenantId: `t${n % 7}`, host: `${n % 90}.example` }, n % 5);
    }
    for (let nowMs = 5, turns = 0; left.size > 0; turns += 1) {
      expect(turns).toBeLessThan(2_000);
      const taken = takeAll(schedule, nowMs, 50_000);
      expect(taken.length * 50_000).toBeLessThanOrEqual(WEBHOOKS_IN_FLIGHT_MAX_BYTES);
      expect(new Set(taken).size).toBe(taken.length);
      for (const [at, key] of taken.entries()) {
        expect(left.has(key)).toBe(true);
        // Every seventh sender is lost, and its webhook comes again.
        if (at % 7 === 6 && turns < 20) continue;
        schedule.drop(key);
        left.delete(key);
      }
      if (taken.length === 0) nowMs += WEBHOOK_SEND_MAX_MS;
    }
    expect(schedule.nextAtMs(0)).toBe(Number.POSITIVE_INFINITY);
  });
});
