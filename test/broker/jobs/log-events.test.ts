// What the log has of attempts and jobs that end: structured events, with codes and ids, and never what a worker said.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import type { AttemptOutcome } from "../../../src/core/job/event.ts";
import { failed } from "../../../src/core/job/failure.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { holdCarriers, makeBroker, submission } from "../../support/broker.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A running job, and the events that its end leaves in the log. */
async function runningJob() {
  const given = holdCarriers();
  const { endpointId } = await makeBroker({ maxAttempts: 1 });
  const broker = brokerOf(env, endpointId);
  const call = submission();
  await broker.submit(call);
  await broker.start();
  await vi.waitFor(() => expect(given).toHaveLength(1));
  const lease = given[0]?.lease ?? "";
  const lines = vi.spyOn(console, "log").mockImplementation(() => undefined);
  const texts = (): string[] =>
    lines.mock.calls.map(([line]) => String(line)).filter((line) => line.includes(call.jobId));
  /** The events so far. Lines are written in order, so they are all there once a later job's line is. */
  const events = async () => {
    const later = submission();
    await broker.submit(later);
    await broker.cancel({ tenantId: "owner", jobId: later.jobId });
    await vi.waitFor(() => expect(lines.mock.calls.join()).toContain(later.jobId));
    return texts().map((line) => JSON.parse(line));
  };
  return { endpointId, broker, jobId: call.jobId, lease, texts, events };
}

const ends: [string, AttemptOutcome, string][] = [
  [
    "attempt_failed",
    { kind: "handler_error", failure: failed("handler_error", "SECRET"), output: null },
    "handler_error",
  ],
  ["upstream_paused", { kind: "upstream_paused", detail: "SECRET", retryAfterMs: 1_000 }, "upstream_paused"],
  ["upstream_unhealthy", { kind: "upstream_unhealthy", detail: "SECRET" }, "upstream_unhealthy"],
];
it.each(ends)("an attempt that ends so is %s, with its code alone", async (event, outcome, code) => {
  const { endpointId, broker, jobId, lease, events, texts } = await runningJob();
  await broker.finish({ jobId, lease, outcome });
  expect((await events())[0]).toMatchObject({ event, endpoint: endpointId, job: jobId, attempt: 1, code });
  expect(texts().join()).not.toContain("SECRET");
});

it("a job that ends is job_finished, once, with what it cost", async () => {
  const { endpointId, broker, jobId, lease, events } = await runningJob();
  const outcome = { kind: "completed", output: null } as const;
  await broker.finish({ jobId, lease, outcome });
  await broker.finish({ jobId, lease, outcome });
  const facts = { endpoint: endpointId, job: jobId, status: "COMPLETED", code: null, attempts: 1 };
  const finished = (await events()).filter(({ event }) => event === "job_finished");
  expect(finished).toMatchObject([{ ...facts, amountNanodollars: expect.any(Number) }]);
});

it("a worker that is lost is worker_lost, and a cancel is nobody's failure", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const { endpointId, events } = await runningJob();
  vi.setSystemTime(Date.now() + 120_000);
  await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
  expect((await events()).map(({ event }) => event)).toEqual(["worker_lost", "job_finished"]);
  vi.restoreAllMocks();
  const other = await runningJob();
  await other.broker.cancel({ tenantId: "owner", jobId: other.jobId });
  expect((await other.events()).map(({ event }) => event)).toEqual(["job_finished"]);
});
