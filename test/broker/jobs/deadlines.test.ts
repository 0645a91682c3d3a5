// Every deadline of an endpoint is served, whatever else is stuck: jobs that wait, alarms and wake-ups that were lost, accounts
// that hang.

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { TenantAccount } from "../../../src/account/tenant-account.ts";
import type { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { failed } from "../../../src/core/job/failure.ts";
import { holdCarriers, makeBroker, submission, upstream } from "../../support/broker.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const withTtl = (ttlMs: number) => ({ policy: { executionTimeoutMs: null, ttlMs, lowPriority: false } });

async function meterOf(endpointId: string) {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (instance) => {
    const { meter } = instance as EndpointBroker;
    return { alarmsSet: meter.alarmsSet, rowsRead: meter.rowsRead };
  });
}

async function passTime(endpointId: string, ms: number): Promise<void> {
  vi.setSystemTime(Date.now() + ms);
  await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
}

describe("a deadline", () => {
  it("is served while another job waits for a slot past its retry time", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const given = holdCarriers();
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 1 })], maxAttempts: 5 });
    await broker.submit(submission({ mode: "runsync" }));
    await vi.waitFor(() => expect(given).toHaveLength(1));
    const [first] = given;
    if (first === undefined) throw new Error("no carrier was started");
    await broker.finish({ ...first, outcome: { kind: "attempt_failed", failure: failed("bad_answer", "reset") } });
    // Another job takes the only slot, and its carrier dies.
    const other = submission({ mode: "runsync" });
    await broker.submit(other);
    await vi.waitFor(() => expect(given).toHaveLength(2));
    const before = await meterOf(endpointId);
    for (let passedMs = 0; passedMs < 60_000; passedMs += 5_000) await passTime(endpointId, 5_000);
    expect(await broker.read({ tenantId: "owner", jobId: other.jobId, ttlMs: null })).toMatchObject({
      ok: true,
      value: { retries: 1 },
    });
    expect((await meterOf(endpointId)).rowsRead - before.rowsRead).toBeLessThan(200);
  });

  it("is served while the account of another tenant hangs", { timeout: 20_000 }, async () => {
    const given = holdCarriers();
    const posts = vi.spyOn(TenantAccount.prototype, "post").mockImplementation(() => new Promise(() => undefined));
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 1 })] });
    await broker.submit(submission({ tenantId: "stuck", mode: "runsync" }));
    await vi.waitFor(() => expect(given).toHaveLength(1));
    const [first] = given;
    if (first === undefined) throw new Error("no carrier was started");
    await broker.finish({ ...first, outcome: { kind: "completed", output: null } });
    await vi.waitFor(() => expect(posts).toHaveBeenCalled(), { timeout: 5_000 });
    vi.useFakeTimers({ toFake: ["Date"] });
    const call = submission({ tenantId: "other", ...withTtl(10_000) });
    await broker.submit(call);
    await vi.waitFor(() => expect(given).toHaveLength(2));
    await passTime(endpointId, 10_500);
    expect(await broker.read({ tenantId: "other", jobId: call.jobId, ttlMs: null })).toMatchObject({ ok: false });
  });

  it("is armed again by any call after the platform has lost the alarm", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    await broker.submit(submission(withTtl(60_000)));
    const stub = env.ENDPOINT_BROKER.getByName(endpointId);
    await runInDurableObject(stub, (_, state) => state.storage.deleteAlarm());
    vi.setSystemTime(Date.now() + 120_000);
    await broker.start();
    expect(await runInDurableObject(stub, (_, state) => state.storage.getAlarm())).not.toBeNull();
  });

  it("costs no storm of alarms while the slots are busy and a wake-up was lost", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const given = holdCarriers();
    vi.spyOn(Object.getPrototypeOf(env.DISPATCH), "send").mockResolvedValue(undefined);
    const { endpointId, broker } = await makeBroker({ upstreams: [upstream({ slots: 1 })] });
    for (const mode of ["run", "run", "runsync"] as const) await broker.submit(submission({ mode }));
    await vi.waitFor(() => expect(given).toHaveLength(1));
    const before = await meterOf(endpointId);
    for (let half = 0; half < 40; half += 1) {
      const stub = env.ENDPOINT_BROKER.getByName(endpointId);
      const atMs = await runInDurableObject(stub, (_, state) => state.storage.getAlarm());
      vi.setSystemTime(Date.now() + 500);
      if (atMs !== null && atMs <= Date.now()) await runDurableObjectAlarm(stub);
    }
    expect((await meterOf(endpointId)).alarmsSet - before.alarmsSet).toBeLessThan(5);
  });
});
