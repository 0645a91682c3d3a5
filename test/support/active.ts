// An endpoint with active upstreams and workers, and its bill of them as D1 has it.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { vi } from "vitest";
import * as z from "zod";
import type { EndpointSettings, Upstream, WorkerKey } from "../../src/contract/settings.ts";
import type { Rate } from "../../src/core/job/pricing.ts";
import { brokerOf } from "../../src/dispatch/broker-client.ts";
import { postLines } from "../broker/stored/post-lines.ts";
import { settings, upstream, workerKey } from "./broker.ts";
import { stateOf } from "./quiet.ts";

export const ACTIVE_RATE = 110_000;

export function activeRate(partial: Partial<Rate> = {}): Rate {
  return { tier: "a4000", kind: "active", nanodollarsPerSecond: ACTIVE_RATE, effectiveFromMs: 0, ...partial };
}

export function activeUpstream(partial: Partial<Upstream> = {}): Upstream {
  return upstream({ rateKind: "active", ...partial });
}

export function activeKey(partial: Partial<WorkerKey> = {}): WorkerKey {
  return workerKey({ id: "key1", rateKind: "active", ...partial });
}

const lineSchema = z.object({
  source: z.string(),
  seq: z.int(),
  jobId: z.string(),
  tier: z.string(),
  rateKind: z.string(),
  slots: z.int(),
  rate: z.int(),
  seconds: z.int(),
  amount: z.int(),
  startedAt: z.int(),
  finishedAt: z.int(),
  billedMs: z.int(),
});
export type ActiveLine = z.infer<typeof lineSchema>;

/** The broker of one endpoint of a tenant of its own. Times are those of the faked `Date`. */
export async function makeActive(partial: Partial<EndpointSettings> = {}) {
  let now = settings({ tenantId: `tn-${crypto.randomUUID()}`, upstreams: [], rates: [activeRate()], ...partial });
  const { endpointId, tenantId } = now;
  const broker = () => brokerOf(env, endpointId);
  await broker().configure(now);
  return {
    endpointId,
    tenantId,
    broker,
    settings: () => now,
    /** The endpoint is changed, as a push brings it. */
    change: async (changes: Partial<EndpointSettings>): Promise<void> => {
      now = { ...now, ...changes, version: now.version + 1 };
      await broker().configure(now);
    },
    ring: () => runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId)),
    /** A worker calls for a job, gets none, and leaves. False: it was refused. */
    ask: (workerId: string, keyId = "key1") => askAndLeave(endpointId, { workerId, keyId }),
    ping: (workerId: string, keyId = "key1") =>
      broker().ping({ workerId, keyId, jobIds: [], unfit: null, leaving: false, gpu: null, version: null }),
    holds: () =>
      stateOf(endpointId, ({ storage }) => storage.sql.exec("SELECT * FROM holds ORDER BY holder_id").toArray()),
    alarm: () => stateOf(endpointId, ({ storage }) => storage.getAlarm()),
    /** All that is owed is posted first, for which the clock goes on by some seconds. */
    lines: async (): Promise<ActiveLine[]> => {
      await postLines(endpointId, tenantId);
      const { results } = await env.DB.prepare(
        `SELECT source, seq, job_id AS jobId, tier, rate_kind AS rateKind, slots, nanodollars_per_second AS rate, seconds,
           amount_nanodollars AS amount, started_at AS startedAt, finished_at AS finishedAt, billed_ms AS billedMs
         FROM usage_lines WHERE tenant_id = ? AND job_id LIKE 'active-%' ORDER BY source, seq`,
      )
        .bind(tenantId)
        .all();
      return z.array(lineSchema).parse(results);
    },
  };
}

async function askAndLeave(endpointId: string, name: { readonly workerId: string; readonly keyId: string }) {
  const pollId = crypto.randomUUID();
  let isOpen = true;
  const call = { ...name, pollId, wanted: 1, idle: true, gpu: null, version: null };
  const taking = brokerOf(env, endpointId)
    .takeJobs(call)
    .finally(() => {
      isOpen = false;
    });
  // The poll is held from a moment on that is not known here. Leaving is no call of the worker.
  while (isOpen) {
    await brokerOf(env, endpointId).abandonTake({ ...name, pollId, leases: [] });
    await scheduler.wait(1);
  }
  return (await taking).ok;
}

/** Under fake timers of `Date`. */
export function passMs(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}
