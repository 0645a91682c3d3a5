// What time does to the jobs of a local endpoint.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import {
  EXECUTION_TIMEOUT_MIN_MS,
  RUN_RETENTION_DEFAULT_MS,
  RUNSYNC_RETENTION_DEFAULT_MS,
} from "../../src/core/limits.ts";
import type { WorkerConfig } from "../../src/sdk/handler.ts";
import { makeInputCheck } from "../../src/sdk/input-check.ts";
import { LocalEndpoint } from "../../src/sdk/local/endpoint.ts";
import type { LocalWork } from "../../src/sdk/local/job.ts";
import { makeLog } from "../../src/sdk/log.ts";
import { reporterOf } from "../../src/sdk/reporter.ts";
import { makeGate } from "./local-endpoint.ts";

const HOUR_MS = 3_600_000;
const STAYS = new AbortController().signal;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

function makeEndpoint(config: WorkerConfig): LocalEndpoint {
  const log = makeLog({ isJson: false, level: "ERROR", write: (line) => console.error(line) });
  return new LocalEndpoint({ config, check: makeInputCheck(undefined), reporter: reporterOf("w1", {}), log });
}

function workOf(given: Partial<LocalWork> = {}): LocalWork {
  const times = { executionTimeoutMs: HOUR_MS, ttlMs: 10 * HOUR_MS };
  return { mode: "run", input: null, fields: {}, lowPriority: false, request: null, ...times, ...given };
}

it("ends a job that runs for too long, tells its handler, and runs the next one", async () => {
  const { handler, begun } = makeGate();
  const endpoint = makeEndpoint({ handler });
  const job = endpoint.submit(workOf({ input: 1, executionTimeoutMs: EXECUTION_TIMEOUT_MIN_MS }));
  endpoint.submit(workOf({ input: 2 }));
  await vi.advanceTimersByTimeAsync(EXECUTION_TIMEOUT_MIN_MS - 1);
  expect(job.state.status).toBe("IN_PROGRESS");
  await vi.advanceTimersByTimeAsync(1);
  expect(job.state).toMatchObject({ status: "FAILED", executionMs: EXECUTION_TIMEOUT_MIN_MS });
  expect(job.error).toBe("executionTimeout exceeded");
  expect(begun).toEqual([1, 2]);
});

it("runs nothing in the place of a handler that does not heed its signal", async () => {
  const begun: unknown[] = [];
  const handler: WorkerConfig["handler"] = ({ input }) => {
    begun.push(input);
    return new Promise(() => undefined);
  };
  const endpoint = makeEndpoint({ handler });
  endpoint.submit(workOf({ input: 1, executionTimeoutMs: EXECUTION_TIMEOUT_MIN_MS }));
  endpoint.submit(workOf({ input: 2 }));
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  expect(begun).toEqual([1]);
  expect(endpoint.health().jobs).toMatchObject({ failed: 1, inProgress: 0, inQueue: 1 });
});

it("runs a job again while a handler that does not heed its signal still holds the earlier run", async () => {
  let runs = 0;
  const handler: WorkerConfig["handler"] = () => {
    runs += 1;
    return runs === 1 ? new Promise((resolve) => setTimeout(() => resolve("late"), 2 * HOUR_MS)) : "second";
  };
  const endpoint = makeEndpoint({ handler, concurrency: 2 });
  const job = endpoint.submit(workOf({ executionTimeoutMs: EXECUTION_TIMEOUT_MIN_MS, ttlMs: 100 * HOUR_MS }));
  await vi.advanceTimersByTimeAsync(EXECUTION_TIMEOUT_MIN_MS);
  expect(endpoint.retry(job)).toBe(true);
  await vi.advanceTimersByTimeAsync(0);
  expect(job.state).toMatchObject({ status: "COMPLETED", output: '"second"' });
  expect([endpoint.runningCount, endpoint.health().jobs.inProgress]).toEqual([1, 0]);
  await vi.advanceTimersByTimeAsync(2 * HOUR_MS);
  expect([endpoint.runningCount, job.state.output]).toEqual([0, '"second"']);
});

it("keeps its concurrency where the function for it fails, and goes on", async () => {
  const endpoint = makeEndpoint({
    handler: ({ input }) => input,
    concurrency: () => {
      throw new Error("no idea");
    },
  });
  const errors = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const job = endpoint.submit(workOf({ input: 1 }));
  await vi.advanceTimersByTimeAsync(0);
  expect(job.state.status).toBe("COMPLETED");
  expect(errors).toHaveBeenCalledWith(expect.stringContaining("Error: no idea"));
  errors.mockRestore();
});

it("forgets a job when its ttl passes, in the queue and while it runs, and tells who waits for it", async () => {
  const { handler } = makeGate();
  const endpoint = makeEndpoint({ handler });
  const [running, waiting] = [endpoint.submit(workOf({ ttlMs: 20_000 })), endpoint.submit(workOf({ ttlMs: 10_000 }))];
  const waits = running.over(HOUR_MS, STAYS);
  await vi.advanceTimersByTimeAsync(10_000);
  expect([endpoint.find(waiting.id), waiting.state.status]).toEqual([null, "TIMED_OUT"]);
  endpoint.setTtl(running, 15_000);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await waits).toBe(true);
  expect([endpoint.find(running.id), running.state.status]).toEqual([null, "TIMED_OUT"]);
});

it("keeps a result half an hour, and that of /runsync a minute", async () => {
  const endpoint = makeEndpoint({ handler: () => 1 });
  const [run, sync] = [endpoint.submit(workOf()), endpoint.submit(workOf({ mode: "runsync" }))];
  await vi.advanceTimersByTimeAsync(RUNSYNC_RETENTION_DEFAULT_MS - 1);
  expect([endpoint.find(run.id), endpoint.find(sync.id)]).toEqual([run, sync]);
  await vi.advanceTimersByTimeAsync(10);
  expect([endpoint.find(run.id), endpoint.find(sync.id)]).toEqual([run, null]);
  await vi.advanceTimersByTimeAsync(RUN_RETENTION_DEFAULT_MS);
  expect(endpoint.find(run.id)).toBeNull();
  expect(endpoint.health().jobs).toMatchObject({ completed: 2 });
});

it("gives up a wait at its end, or when its client goes", async () => {
  const { handler } = makeGate();
  const job = makeEndpoint({ handler }).submit(workOf());
  const leaving = new AbortController();
  const waits = [job.changed(HOUR_MS, leaving.signal), job.changed(50, STAYS)];
  await vi.advanceTimersByTimeAsync(0);
  // Both have seen the job begin.
  expect(await Promise.all(waits)).toEqual([true, true]);
  const more = [job.changed(HOUR_MS, leaving.signal), job.changed(50, STAYS)];
  leaving.abort();
  await vi.advanceTimersByTimeAsync(50);
  expect(await Promise.all(more)).toEqual([false, false]);
});
