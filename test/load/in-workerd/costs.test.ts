// Counted costs (docs/decisions/storage-and-limits.md): rows and alarms are the bill of a broker, so their numbers are tests.
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { answerUpstreams, makeBroker, submission } from "../../support/broker.ts";

afterEach(() => vi.restoreAllMocks());

async function meterOf(endpointId: string) {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (instance) => {
    const { meter } = instance as EndpointBroker;
    const { calls, messages } = meter;
    return {
      alarmsSet: meter.alarmsSet,
      calls,
      messages,
      rowsWritten: meter.rowsWritten,
      rowsRead: meter.rowsRead,
    };
  });
}

/** Jobs that reached their end without a wait call. Answers the calls that asking took: they are not the jobs'. */
async function finished(endpointId: string, jobs: number): Promise<number> {
  let asked = 0;
  await vi.waitFor(
    async () => {
      asked += 1;
      const { jobs: counted } = await brokerOf(env, endpointId).health({ tenantId: "owner" });
      expect(counted.completed).toBe(jobs);
    },
    { timeout: 40_000, interval: 500 },
  );
  return asked;
}

describe("costs of a job", () => {
  it("stay at 5 rows, half an alarm, 3 calls and 1 message over 1,000 small jobs at ten at once", {
    timeout: 60_000,
  }, async () => {
    answerUpstreams(() => Response.json({ ok: true }));
    const { endpointId } = await makeBroker();
    let left = 1_000;
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        while (left > 0) {
          left -= 1;
          const submitted = await brokerOf(env, endpointId).submit(submission());
          expect(submitted.ok).toBe(true);
        }
      }),
    );
    const asked = await finished(endpointId, 1_000);
    await vi.waitFor(async () => expect((await meterOf(endpointId)).rowsWritten).toBeGreaterThan(3_000), {
      timeout: 5_000,
    });
    const meter = await meterOf(endpointId);
    // One more row a job is its deletion at the end of retention.
    expect(meter.rowsWritten / 1_000 + 1).toBeLessThanOrEqual(5);
    expect(meter.alarmsSet / 1_000).toBeLessThanOrEqual(0.5);
    expect(meter.messages / 1_000).toBeLessThanOrEqual(1);
    // Those of this test and the one configure are not the jobs'.
    expect((meter.calls - asked - 1) / 1_000).toBeLessThanOrEqual(3);
    console.info(`a job costs ${JSON.stringify(meter)} / 1,000`);
  });

  it("of a lone job are at most 5 rows and 4 alarms", { timeout: 20_000 }, async () => {
    answerUpstreams(() => Response.json({ ok: true }));
    const { endpointId } = await makeBroker();
    const before = await meterOf(endpointId);
    await brokerOf(env, endpointId).submit(submission());
    await finished(endpointId, 1);
    await vi.waitFor(async () => expect((await meterOf(endpointId)).rowsWritten - before.rowsWritten).toBe(4), {
      timeout: 5_000,
    });
    const after = await meterOf(endpointId);
    expect(after.rowsWritten - before.rowsWritten + 1).toBeLessThanOrEqual(5);
    expect(after.alarmsSet - before.alarmsSet).toBeLessThanOrEqual(4);
  });
});
