// A pulling worker as the edge speaks for it to a broker, and what tests of such workers look at.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { vi } from "vitest";
import type { BrokerApi } from "../../src/contract/broker.ts";
import type { HandedJob, TakeCall } from "../../src/contract/worker.ts";
import type { AttemptOutcome } from "../../src/core/job/event.ts";
import { workerKey } from "./broker.ts";

/** Settings of an endpoint that only workers of `key1` serve. */
export const pullOnly = { upstreams: [], workerKeys: [workerKey({ id: "key1" })] };

/** The output of a job that is done. */
export const OUTPUT = { kind: "inline", bytes: new TextEncoder().encode('"done"') } as const;
const DONE: AttemptOutcome = { kind: "completed", output: OUTPUT };

export function pullingWorker(broker: BrokerApi, workerId: string, keyId = "key1") {
  const name = { keyId, workerId };
  const call = (partial: Partial<TakeCall> = {}): TakeCall => ({
    ...name,
    pollId: crypto.randomUUID(),
    wanted: 1,
    idle: true,
    gpu: null,
    version: null,
    ...partial,
  });
  const take = async (partial: Partial<TakeCall> = {}): Promise<readonly HandedJob[]> => {
    const taken = await broker.takeJobs(call(partial));
    if (!taken.ok) throw new Error(`the take was refused: ${taken.failure.kind}`);
    return taken.value;
  };
  const report = (jobId: string, outcome: AttemptOutcome = DONE, refresh = false) =>
    broker.report({ ...name, jobId, outcome, refresh });
  return {
    name,
    take,
    takeOne: async (partial: Partial<TakeCall> = {}): Promise<HandedJob> => {
      const [job] = await take(partial);
      if (job === undefined) throw new Error("the take brought no job");
      return job;
    },
    ping: (jobIds: readonly string[] = [], unfit: string | null = null) =>
      broker.ping({ ...name, jobIds, unfit, leaving: false, gpu: null, version: null }),
    /** Its heartbeat tells that it was told to end. */
    leave: (jobIds: readonly string[] = []) =>
      broker.ping({ ...name, jobIds, unfit: null, leaving: true, gpu: null, version: null }),
    report,
    done: (jobId: string) => report(jobId),
    /** Its result asks for its restart. */
    doneForGood: (jobId: string) => report(jobId, DONE, true),
  };
}

/** The job as its client may see it. */
export async function statusOf(broker: BrokerApi, jobId: string) {
  const read = await broker.read({ tenantId: "owner", jobId, ttlMs: null });
  if (!read.ok) throw new Error(`no status: ${read.failure.kind}`);
  return read.value;
}

/** Why the job waits; null: it does not. */
export async function waitOf(broker: BrokerApi, jobId: string) {
  return (await statusOf(broker, jobId)).queue;
}

/** The list of an endpoint's workers, as its owner sees it. */
export async function workersOf(broker: BrokerApi) {
  return (await broker.listWorkers({ tenantId: "owner" })) ?? [];
}

/** Under fake timers of `Date`: so much later the broker's alarm rings. */
export async function passTime(endpointId: string, ms: number): Promise<void> {
  vi.setSystemTime(Date.now() + ms);
  await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
}
