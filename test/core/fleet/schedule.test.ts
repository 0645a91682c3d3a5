// Hours of more workers: which hold now, when that changes next, over midnight, over the week's end, and when clocks are changed.
import { describe, expect, it } from "vitest";
import {
  isTimeZone,
  type Schedule,
  type ScheduleEntry,
  scheduleChangesAtMs,
  scheduledMin,
} from "../../../src/core/fleet/schedule.ts";

const WORKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri"] as const;

function schedule(entry: Partial<ScheduleEntry>, timeZone = "UTC"): Schedule {
  return { timeZone, entries: [{ days: WORKDAYS, fromMinute: 8 * 60, toMinute: 18 * 60, min: 2, ...entry }] };
}

const at = (text: string) => Date.parse(text);
const changes = (given: Schedule, text: string) => new Date(scheduleChangesAtMs(given, at(text))).toISOString();

describe("a schedule", () => {
  it.each([
    ["2026-11-30T07:59:59Z", 0],
    ["2026-11-30T08:00:00Z", 2],
    ["2026-11-30T17:59:59Z", 2],
    ["2026-11-30T18:00:00Z", 0],
    ["2026-11-28T12:00:00Z", 0],
  ])("of workdays from 8 to 18 asks at %s for %i", (text, min) => {
    expect(scheduledMin(schedule({}), at(text))).toBe(min);
  });

  it("changes next at its begin or its end, over a weekend, too", () => {
    expect(changes(schedule({}), "2026-11-30T07:12:34.567Z")).toBe("2026-11-30T08:00:00.000Z");
    expect(changes(schedule({}), "2026-11-30T08:00:00Z")).toBe("2026-11-30T18:00:00.000Z");
    expect(changes(schedule({}), "2026-11-27T18:00:00Z")).toBe("2026-11-30T08:00:00.000Z");
  });

  it("goes over midnight, and over the end of a week", () => {
    const night = schedule({ days: ["Sat"], fromMinute: 22 * 60, toMinute: 6 * 60 });
    expect(scheduledMin(night, at("2026-11-29T05:59:00Z"))).toBe(2);
    expect(scheduledMin(night, at("2026-11-29T06:00:00Z"))).toBe(0);
    expect(changes(night, "2026-11-28T23:00:00Z")).toBe("2026-11-29T06:00:00.000Z");
  });

  it("takes the most of what its entries ask for, and changes where any of them does", () => {
    const [entry] = schedule({}).entries;
    if (entry === undefined) throw new Error("no entry");
    const two = { timeZone: "UTC", entries: [entry, { ...entry, fromMinute: 9 * 60, toMinute: 10 * 60, min: 5 }] };
    expect(scheduledMin(two, at("2026-11-30T09:30:00Z"))).toBe(5);
    expect(changes(two, "2026-11-30T08:30:00Z")).toBe("2026-11-30T09:00:00.000Z");
  });

  it("without entries never changes", () => {
    expect(scheduleChangesAtMs({ timeZone: "UTC", entries: [] }, 0)).toBe(Number.POSITIVE_INFINITY);
  });

  it("follows the clocks of its zone in summer and in winter", () => {
    const berlin = schedule({ days: ["Sat", "Sun", "Mon"] }, "Europe/Berlin");
    expect(scheduledMin(berlin, at("2026-07-06T06:00:00Z"))).toBe(2);
    expect(scheduledMin(berlin, at("2026-11-30T06:59:00Z"))).toBe(0);
    // In the night to 29 March 2026 clocks are put forward, on 25 October back.
    expect(reached(berlin, "2026-03-28T20:00:00Z")).toBe("2026-03-29T06:00:00.000Z");
    expect(reached(berlin, "2026-10-24T20:00:00Z")).toBe("2026-10-25T07:00:00.000Z");
  });

  /** When the minimum really changes, if one looks whenever the schedule asks for it. */
  function reached(given: Schedule, text: string): string {
    const before = scheduledMin(given, at(text));
    let nowMs = at(text);
    for (let looks = 0; looks < 5; looks += 1) {
      nowMs = scheduleChangesAtMs(given, nowMs);
      if (scheduledMin(given, nowMs) !== before) return new Date(nowMs).toISOString();
    }
    throw new Error("it does not change");
  }
});

describe("the name of a time zone", () => {
  it("is one that the platform has", () => {
    expect(["Europe/Berlin", "UTC", "Mars/Olympus", ""].map(isTimeZone)).toEqual([true, true, false, false]);
  });
});
