// When webhooks are sent: by their time, six at once to a host, and again when a courier is lost.
import { describe, expect, it } from "vitest";
import { COURIER_MAX_MS, WEBHOOK_HOST_IN_FLIGHT_MAX } from "../../src/core/limits.ts";
import { WebhookSchedule } from "../../src/core/webhook-schedule.ts";

describe("the schedule of webhooks", () => {
  it("sends each at its time, and says when to look again", () => {
    const schedule = new WebhookSchedule();
    schedule.plan("late", "a.example", 500);
    schedule.plan("soon", "a.example", 100);
    expect(schedule.nextAtMs(0)).toBe(100);
    expect(schedule.take(99)).toEqual([]);
    expect(schedule.take(100)).toEqual(["soon"]);
    expect(schedule.nextAtMs(100)).toBe(500);
  });

  it("has at most six in flight to one host, and others do not wait for it", () => {
    const schedule = new WebhookSchedule();
    for (let made = 0; made < 10; made += 1) schedule.plan(`slow-${made}`, "slow.example", 0);
    schedule.plan("quick", "quick.example", 0);
    const first = schedule.take(0);
    expect(first).toHaveLength(WEBHOOK_HOST_IN_FLIGHT_MAX + 1);
    expect(first).toContain("quick");
    expect(schedule.hasReady(0)).toBe(false);
    schedule.drop(first.find((key) => key !== "quick") ?? "");
    expect(schedule.take(0)).toHaveLength(1);
  });

  it("sends one again when its courier is lost, and not while it is under way", () => {
    const schedule = new WebhookSchedule();
    schedule.plan("one", "a.example", 0);
    expect(schedule.take(0)).toEqual(["one"]);
    schedule.plan("one", "a.example", 0);
    expect(schedule.take(COURIER_MAX_MS - 1)).toEqual([]);
    expect(schedule.nextAtMs(1)).toBe(COURIER_MAX_MS);
    expect(schedule.take(COURIER_MAX_MS)).toEqual(["one"]);
  });

  it("keeps a flight under its new key", () => {
    const schedule = new WebhookSchedule();
    schedule.plan("job", "a.example", 0);
    schedule.take(0);
    schedule.rename("job", "job/0");
    expect(schedule.take(1)).toEqual([]);
    schedule.land("job/0");
    expect(schedule.take(1)).toEqual(["job/0"]);
    schedule.plan("job/0", "a.example", 9_000);
    expect(schedule.nextAtMs(1)).toBe(9_000);
    schedule.drop("job/0");
    expect(schedule.nextAtMs(1)).toBe(Number.POSITIVE_INFINITY);
  });
});
