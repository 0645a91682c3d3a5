// A tier whose first price lies ahead: its upstreams are used from then on, without another push of the settings.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { holdCarriers, makeBroker, submission, upstream } from "../../support/broker.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

it("starts the jobs that wait for an upstream as soon as its price begins", async () => {
  const given = holdCarriers();
  const beginsAtMs = Date.now() + 3_600_000;
  const rates = [{ tier: "new", kind: "flex", nanodollarsPerSecond: 1, effectiveFromMs: beginsAtMs }] as const;
  const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ tier: "new" })], rates: [...rates] });
  const call = submission();
  await broker.submit(call);
  expect((await broker.start()).started).toBe(0);
  const stub = env.ENDPOINT_BROKER.getByName(endpointId);
  const alarmAtMs = await runInDurableObject(stub, (_, { storage }) => storage.getAlarm());
  expect(alarmAtMs).toBeLessThanOrEqual(beginsAtMs + 500);
  vi.setSystemTime(beginsAtMs + 500);
  await runDurableObjectAlarm(stub);
  await vi.waitFor(() => expect(given.map(({ jobId }) => jobId)).toEqual([call.jobId]));
});

it("sets no alarm where every upstream has its price, or none will ever have one", async () => {
  for (const tier of ["a4000", "unknown"]) {
    const { endpointId } = await makeBroker({ upstreams: [upstream({ tier })] });
    const stub = env.ENDPOINT_BROKER.getByName(endpointId);
    expect(await runInDurableObject(stub, (_, { storage }) => storage.getAlarm())).toBeNull();
  }
});
