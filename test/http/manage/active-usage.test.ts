// The time of active upstreams and workers as the endpoint's owner finds it in the bill, over HTTP from the setting to the sum.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { postLines } from "../../broker/stored/post-lines.ts";
import { ACTIVE_RATE, passMs } from "../../support/active.ts";
import { manage } from "../../support/manage.ts";
import { makePulling } from "../../support/pulling.ts";
import { makeTenant } from "../../support/tenant.ts";

/** No alarm rings by itself before this. */
const NOW_MS = Date.UTC(2050, 0, 1, 10, 30);
const HOUR_MS = 3_600_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(NOW_MS);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** An upstream that was active for an hour and ten seconds. */
async function billed() {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"] });
  const { key, endpointId, tenantId } = tenant;
  const path = `/v1/endpoints/${endpointId}/upstreams`;
  const wanted = { url: "https://gpu.example.com/", dialect: "http", tier: "a4000", rateKind: "active", slots: 4 };
  const made = await manage(key, "POST", path, wanted);
  expect(made).toMatchObject({ status: 201, body: { applied: true } });
  passMs(HOUR_MS);
  await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
  passMs(10_000);
  const disabled = await manage(key, "PATCH", `${path}/${made.body.id}`, { enabled: false });
  expect(disabled.body).toMatchObject({ applied: true });
  await postLines(endpointId, tenantId);
  return { ...tenant, jobId: `active-${made.body.id}`, ask: (asked: string) => manage(key, "GET", asked) };
}

describe("an active upstream in the bill", () => {
  it("is a line for each hour and one for the rest, with the id of the upstream, and part of the sum", async () => {
    const { ask, jobId, endpointId } = await billed();
    const { lines, totalNanodollars } = (await ask("/v1/usage")).body;
    const line = { jobId, endpointId, tier: "a4000", rateKind: "active", slots: 1, nanodollarsPerSecond: ACTIVE_RATE };
    const rest = { attempt: 2, startedAt: NOW_MS + HOUR_MS, finishedAt: NOW_MS + HOUR_MS + 10_000 };
    expect(lines).toEqual([
      {
        ...line,
        ...rest,
        seconds: 10,
        billedMs: 10_000,
        amountNanodollars: 10 * ACTIVE_RATE,
        amountDollars: "0.001100000",
      },
      {
        ...line,
        attempt: 1,
        startedAt: NOW_MS,
        finishedAt: NOW_MS + HOUR_MS,
        seconds: 3_600,
        billedMs: HOUR_MS,
        amountNanodollars: 3_600 * ACTIVE_RATE,
        amountDollars: "0.396000000",
      },
    ]);
    expect(totalNanodollars).toBe(3_610 * ACTIVE_RATE);
    const later = await ask(`/v1/usage?from=${NOW_MS + HOUR_MS + 1}`);
    expect(later.body).toMatchObject({ lines: [{ attempt: 2 }], totalNanodollars: 10 * ACTIVE_RATE });
  });

  it("is part of the amount for GPUs in RunPod's bills, in the bucket in which each line ends", async () => {
    const { ask, endpointId } = await billed();
    const day = "startTime=2050-01-01T00:00:00Z&endTime=2050-01-02T00:00:00Z";
    const { records } = (await ask(`/v2/billing/serverless?${day}`)).body;
    expect(records).toMatchObject([{ serverlessId: endpointId, totalAmount: 0.3971, gpuAmount: 0.3971 }]);
    const hours = (await ask(`/v2/billing?${day}&bucketSize=hour`)).body.records;
    expect(hours).toMatchObject([{ startTime: "2050-01-01T11:00:00.000Z", serverlessGpuAmount: 0.3971 }]);
  });

  it("is no job: the advice about the number of workers does not count it", async () => {
    const { ask, slug } = await billed();
    const advice = await ask(`/v1/endpoints/${slug}/active-workers`);
    expect(advice.body).toMatchObject({ jobsInLastHour: 0, activeWorkers: 0 });
  });
});

it("an active worker that pulls is in the bill by its own id, from its first poll to its last call", async () => {
  const { tenant, asWorker, take, ping, submit, done } = await makePulling({ workerKeys: [{ rateKind: "active" }] });
  const { key, endpointId, tenantId } = tenant;
  const id = await submit("1");
  expect((await take("gpu-1")).status).toBe(200);
  passMs(20_000);
  await ping([id], "gpu-1");
  passMs(10_500);
  expect((await done(id, '{"output":1}', "gpu-1")).status).toBe(200);
  expect((await asWorker("ping/WORKER", { workerId: "never-asked" })).status).toBe(200);
  passMs(61_000);
  await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
  await postLines(endpointId, tenantId);
  const { lines } = (await manage(key, "GET", "/v1/usage")).body;
  expect(lines).toHaveLength(2);
  expect(lines).toContainEqual(expect.objectContaining({ jobId: id, seconds: 31, amountNanodollars: 0 }));
  const held = { jobId: "active-gpu-1", seconds: 31, amountNanodollars: 31 * ACTIVE_RATE, attempt: 1 };
  expect(lines).toContainEqual(expect.objectContaining(held));
});
