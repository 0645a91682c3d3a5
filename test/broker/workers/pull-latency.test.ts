// How soon a worker that waits has a job, beside the two things that it cannot do without: one call to the object, and one
// commit to its disk, because no job may be handed out before it is durable.
import { expect, it } from "vitest";
import type { BrokerApi } from "../../../src/contract/broker.ts";
import { makeBroker, submission, workerKey } from "../../support/broker.ts";
import { percentile, shownMs } from "../../support/figures.ts";

/** The clock of workerd goes by whole milliseconds, so each figure is the mean of a group. */
const GROUPS = 20;
const ROUNDS_IN_GROUP = 10;
const BARE_CALLS_MAX = 4;
const owner = { tenantId: "owner" };
const w1 = { keyId: "key1", workerId: "w1" };

async function timed(act: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await act();
  return performance.now() - startedMs;
}

function take(broker: BrokerApi, workerId = "w1") {
  const pollId = crypto.randomUUID();
  return broker.takeJobs({ ...w1, workerId, pollId, wanted: 1, idle: true, gpu: null, version: null });
}

/** From the submit until the worker has the job; everything around it is not in the figure. */
async function handOver(broker: BrokerApi): Promise<number> {
  const taking = take(broker);
  // Calls to an object keep their order: when this one is answered the poll is open.
  await broker.depth(owner);
  const call = submission();
  let submitting: Promise<unknown> = Promise.resolve();
  const tookMs = await timed(async () => {
    submitting = broker.submit(call);
    expect(await taking).toMatchObject({ value: [{ jobId: call.jobId }] });
  });
  await submitting;
  const outcome = { kind: "completed", output: null } as const;
  expect(await broker.report({ ...w1, jobId: call.jobId, outcome, refresh: false })).toBe("accepted");
  return tookMs;
}

it("gives a submitted job to a worker that waits in the time of one commit and four bare calls", {
  timeout: 60_000,
}, async () => {
  const { broker } = await makeBroker({ upstreams: [], workerKeys: [workerKey({ id: "key1" })] });
  const held = submission();
  await broker.submit(held);
  await take(broker, "w0");
  let ttlMs = 60_000;
  /** The least that a call can write: one column of a row. */
  const writeOnce = () => {
    ttlMs += 1;
    return broker.read({ ...owner, jobId: held.jobId, ttlMs });
  };
  const [bare, commit, handed]: [number[], number[], number[]] = [[], [], []];
  await handOver(broker);
  for (let group = 0; group < GROUPS; group += 1) {
    const sums = { bare: 0, commit: 0, handed: 0 };
    for (let round = 0; round < ROUNDS_IN_GROUP; round += 1) {
      sums.bare += await timed(() => broker.depth(owner));
      sums.commit += await timed(writeOnce);
      sums.handed += await handOver(broker);
    }
    bare.push(sums.bare / ROUNDS_IN_GROUP);
    commit.push(sums.commit / ROUNDS_IN_GROUP);
    handed.push(sums.handed / ROUNDS_IN_GROUP);
  }
  console.info(
    `a bare call: ${shownMs(bare)}; one that writes: ${shownMs(commit)}; a job to its worker: ${shownMs(handed)}`,
  );
  const boundMs = percentile(commit, 0.5) + BARE_CALLS_MAX * percentile(bare, 0.5);
  expect(percentile(handed, 0.5)).toBeLessThanOrEqual(boundMs);
});
