import { describe, expect, it } from "vitest";
import { openAiOrigin } from "../../../src/contract/openai-origin.ts";
import { mayClientCarry } from "../../../src/core/job/client-carry.ts";
import { RecentTimes } from "../../../src/core/scheduling/recent-times.ts";
import { openAiRequest } from "../../support/openai-request.ts";

describe("a client's own request", () => {
  it.each([
    [
      "an OpenAI route, however long",
      { origin: openAiOrigin(openAiRequest()), executionTimeoutMs: 600_000 },
      null,
      null,
      true,
    ],
    ["a job that nobody waits for", { origin: null, executionTimeoutMs: 5_000 }, null, 10, false],
    ["a timeout of the whole wait", { origin: null, executionTimeoutMs: 90_000 }, 90_000, null, true],
    ["a timeout over the wait", { origin: null, executionTimeoutMs: 90_001 }, 90_000, null, false],
    ["jobs that take under half of the wait", { origin: null, executionTimeoutMs: 600_000 }, 90_000, 44_999, true],
    ["jobs that take half of the wait", { origin: null, executionTimeoutMs: 600_000 }, 90_000, 45_000, false],
  ] as const)("may carry it: %s", (_case, job, waitMs, p99Ms, expected) => {
    expect(mayClientCarry(job, waitMs, p99Ms)).toBe(expected);
  });
});

describe("the times of the newest jobs", () => {
  it("say nothing before there are a hundred", () => {
    const times = new RecentTimes();
    for (let n = 0; n < 99; n += 1) times.add(10);
    expect(times.p99).toBeNull();
    times.add(10);
    expect(times.p99).toBe(10);
  });

  it("give the time that all but one in a hundred stay under", () => {
    const times = new RecentTimes();
    for (let n = 1; n <= 100; n += 1) times.add(n === 50 ? 9_000 : n);
    expect(times.p99).toBe(100);
  });

  it("forget the oldest", () => {
    const times = new RecentTimes();
    for (let n = 0; n < 512; n += 1) times.add(60_000);
    for (let n = 0; n < 576; n += 1) times.add(10);
    expect(times.p99).toBe(10);
  });

  it.each([3, 512, 600])("are the same in a memory that begins with those that another one knows: %s", (count) => {
    const times = new RecentTimes();
    for (let n = 1; n <= count; n += 1) times.add(n);
    const expected = Array.from({ length: Math.min(count, 512) }, (_, at) => Math.max(count - 512, 0) + at + 1);
    expect(times.known()).toEqual(expected);
    const next = new RecentTimes();
    for (const time of times.known()) next.add(time);
    expect(next.known()).toEqual(expected);
  });
});
