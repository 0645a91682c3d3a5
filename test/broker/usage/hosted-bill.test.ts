// What a job costs that waits at a hosted upstream: nothing until that upstream has said that it runs.

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { AttemptOutcome } from "../../../src/core/job/event.ts";
import { failed } from "../../../src/core/job/failure.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { holdCarriers, makeBroker, submission, upstream } from "../../support/broker.ts";

const POLL = { timeout: 10_000, interval: 10 };

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A job whose carrier holds its lease and says nothing but what the test makes it say. */
async function leasedJob(changes: Parameters<typeof upstream>[0]) {
  vi.useFakeTimers({ toFake: ["Date"] });
  const given = holdCarriers();
  const { endpointId, broker } = await makeBroker({ upstreams: [upstream(changes)] });
  const call = submission({ mode: "runsync" });
  await broker.submit(call);
  await vi.waitFor(() => expect(given).toHaveLength(1), POLL);
  const held = { jobId: call.jobId, lease: given[0]?.lease ?? "" };
  const passTime = async (seconds: number): Promise<void> => {
    for (let left = seconds; left > 0; left -= 10) {
      vi.setSystemTime(Date.now() + 10_000);
      expect(await brokerOf(env, endpointId).renew({ ...held, holdMs: 0 })).toBe(true);
    }
  };
  /** The seconds that it is billed; null: none. */
  const billed = (): Promise<unknown> =>
    runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, state) => {
      const sql = "SELECT json_extract(facts, '$.bill.seconds') AS seconds, finish_seq AS seq FROM jobs";
      const { seconds, seq } = state.storage.sql.exec(sql).one();
      expect(seq === null).toBe(seconds === null);
      return seconds;
    });
  /** Cancels it now, and gives its bill. */
  const cancel = async (): Promise<unknown> => {
    const cancelled = await broker.cancel({ tenantId: "owner", jobId: call.jobId });
    expect(cancelled).toMatchObject({ ok: true, value: { status: "CANCELLED" } });
    return await billed();
  };
  /** The same, by its worker's answer. */
  const finish = async (outcome: AttemptOutcome): Promise<unknown> => {
    expect(await brokerOf(env, endpointId).finish({ ...held, outcome })).toMatchObject({ accepted: true });
    return await billed();
  };
  const run = (): Promise<boolean> => brokerOf(env, endpointId).noteRunning(held);
  return { passTime, cancel, finish, run };
}

describe("a job that is cancelled on a hosted upstream", () => {
  it("which never said that it runs has no line, however long it has waited there", { timeout: 20_000 }, async () => {
    const { passTime, cancel } = await leasedJob({ dialect: "runpod" });
    await passTime(270);
    expect(await cancel()).toBeNull();
  });

  it("is billed from the first word that it runs, and not anew by later ones", { timeout: 20_000 }, async () => {
    const { passTime, cancel, run } = await leasedJob({ dialect: "runpod" });
    await passTime(100);
    expect(await run()).toBe(true);
    await passTime(20);
    expect(await run()).toBe(true);
    await passTime(10);
    // A moment of real time passes too, and a begun second counts whole.
    expect([30, 31]).toContain(await cancel());
  });
});

describe("a job that comes to its own end on a hosted upstream", () => {
  const ends = [
    { kind: "completed", output: null },
    { kind: "handler_error", failure: failed("handler_error", "no"), output: null },
  ] as const satisfies readonly AttemptOutcome[];

  it.each(ends)("is not billed for its wait there: $kind", { timeout: 20_000 }, async (outcome) => {
    const { passTime, finish, run } = await leasedJob({ dialect: "runpod" });
    await passTime(270);
    expect(await run()).toBe(true);
    await passTime(20);
    expect([20, 21]).toContain(await finish(outcome));
  });

  it.each(ends)("nor when nobody saw it run, after its last IN_QUEUE: $kind", { timeout: 20_000 }, async (outcome) => {
    const { passTime, finish } = await leasedJob({ dialect: "runpod" });
    await passTime(270);
    expect(await finish({ ...outcome, ranMaxMs: 4_000 })).toBe(4);
  });

  it("is billed from its lease on when nothing is known of a wait", { timeout: 20_000 }, async () => {
    const { passTime, finish } = await leasedJob({ dialect: "runpod" });
    await passTime(30);
    expect([30, 31]).toContain(await finish({ kind: "completed", output: null }));
  });
});

describe("a job that is cancelled elsewhere", () => {
  it.each([
    ["a local handler", { dialect: "runpod", local: true }],
    ["an http worker", { dialect: "http" }],
  ] as const)("on %s is billed from its start", { timeout: 20_000 }, async (_name, changes) => {
    const { passTime, cancel } = await leasedJob(changes);
    await passTime(30);
    // A moment of real time passes too, and a begun second counts whole.
    expect([30, 31]).toContain(await cancel());
  });
});
