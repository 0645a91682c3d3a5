// Machines that get no more jobs, and end those that they have.
import { expect, it, vi } from "vitest";
import { makeBroker, submission } from "../../support/broker.ts";
import { fleet, useHeldProvider } from "../../support/held-provider.ts";
import { passTime, pullingWorker, statusOf, workersOf } from "../../support/pulling-worker.ts";

const HOUR_MS = 3_600_000;
const BEAT_MS = 20_000;

const provider = useHeldProvider();

it("a job on a machine at the end of its life has no second machine made, and the next job has one at once", async () => {
  const { endpointId, broker } = await makeBroker({
    upstreams: [],
    executionTimeoutMs: 24 * HOUR_MS,
    fleet: fleet({ lifetimeMs: HOUR_MS }),
  });
  const call = submission();
  await broker.submit(call);
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(1));
  const id = provider.called("create")[0]?.machine?.instanceId ?? "";
  const worker = pullingWorker(broker, id, id);
  await worker.takeOne();
  // Of an hour the last tenth is for the jobs that are there.
  for (let passed = 0; passed < 0.95 * HOUR_MS; passed += BEAT_MS) {
    await worker.ping([call.jobId]);
    await passTime(endpointId, BEAT_MS);
  }
  expect(await workersOf(broker)).toMatchObject([{ id, machine: { phase: "draining" } }]);
  expect(provider.called("create")).toHaveLength(1);
  await broker.submit(submission());
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(2));
  await worker.done(call.jobId);
  expect((await statusOf(broker, call.jobId)).status).toBe("COMPLETED");
  await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
});
