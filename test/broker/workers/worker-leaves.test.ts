// A worker that is about to end waits for its open job-stop first, so that must not be held for long; of one that goes on it is.
import { describe, expect, it } from "vitest";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import { STOP_LET_GO_AFTER_MS } from "../../../src/core/limits.ts";
import { makeBroker, submission, workerKey } from "../../support/broker.ts";

const NAME = { keyId: "key1", workerId: "w1" };
const OUTPUT = { kind: "inline", bytes: new TextEncoder().encode('"done"') } as const;

function take(broker: BrokerApi, pollId: string) {
  return broker.takeJobs({ ...NAME, pollId, wanted: 1, idle: true, gpu: null, version: null });
}

/** A worker that has a job, and its open job-stop. */
async function holding(holdMs: number) {
  const { broker } = await makeBroker({ upstreams: [], workerKeys: [workerKey({ id: "key1" })] });
  const { jobId } = submission();
  await broker.submit(submission({ jobId }));
  expect(await take(broker, "first")).toMatchObject({ ok: true, value: [{ jobId }] });
  const stopping = broker.awaitStops({ ...NAME, holdMs });
  const report = () =>
    broker.report({ ...NAME, jobId, outcome: { kind: "completed", output: OUTPUT }, refresh: false });
  return { broker, stopping, report };
}

describe.concurrent("the job-stop of a worker", () => {
  it("that does not ask again after its job is let go", async () => {
    const { stopping, report } = await holding(20_000);
    const reportedAtMs = Date.now();
    expect(await report()).toBe("accepted");
    expect(await stopping).toBeNull();
    expect(Date.now() - reportedAtMs).toBeGreaterThanOrEqual(STOP_LET_GO_AFTER_MS);
    expect(Date.now() - reportedAtMs).toBeLessThan(STOP_LET_GO_AFTER_MS + 2_000);
  });

  it("that is between two calls when it is let go is answered by the next one", async () => {
    const { broker, stopping, report } = await holding(10);
    expect(await stopping).toEqual([]);
    expect(await report()).toBe("accepted");
    await scheduler.wait(STOP_LET_GO_AFTER_MS + 500);
    expect(await broker.awaitStops({ ...NAME, holdMs: 20_000 })).toBeNull();
  });

  it("that asks again is held", async () => {
    const { broker, stopping, report } = await holding(STOP_LET_GO_AFTER_MS + 1_500);
    expect(await report()).toBe("accepted");
    const taking = take(broker, "second");
    expect(await stopping).toEqual([]);
    await broker.abandonTake({ ...NAME, pollId: "second", leases: [] });
    await taking;
  });

  it("that works on is held, though a poll of it has ended", async () => {
    const { broker, stopping } = await holding(STOP_LET_GO_AFTER_MS + 1_500);
    const taking = take(broker, "gone");
    await broker.abandonTake({ ...NAME, pollId: "gone", leases: [] });
    await taking;
    expect(await stopping).toEqual([]);
  });
});
