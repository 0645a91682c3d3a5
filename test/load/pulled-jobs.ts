// Many small jobs for pulling workers: submitted by several clients, waited for, and counted by what anybody can see from
// outside: statuses, usage lines, and the answers that workers' results got.
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { forEachAtOnce } from "../chaos/jobs.ts";
import type { RunningBroker } from "../running/broker.ts";
import type { Gate, GateCall } from "./gate.ts";

const submittedSchema = z.object({ id: z.string() });
const statusSchema = z.object({ status: z.string(), output: z.unknown().optional(), error: z.unknown().optional() });
const healthSchema = z.object({
  jobs: z.object({ completed: z.number(), failed: z.number(), inProgress: z.number(), inQueue: z.number() }),
  workers: z.object({ idle: z.number() }),
});
const usageSchema = z.object({ lines: z.array(z.object({ jobId: z.string() })) });

const CLIENTS = 8;
const READERS = 16;
const POLL_MS = 500;
/** A page of `/v1/usage`. */
const PAGE_MAX = 1_000;
/** Lines are promised 5 s after a finish. */
const USAGE_MAX_MS = 15_000;

export type Health = z.infer<typeof healthSchema>;

export async function healthOf(broker: RunningBroker, slug: string): Promise<Health> {
  return healthSchema.parse(await (await broker.call(`/v2/${slug}/health`)).json());
}

/** Submits `count` jobs of `workMs` each, by several clients at once. Returns job id → input. */
export async function submitMany(
  broker: RunningBroker,
  slug: string,
  count: number,
  workMs: number,
): Promise<ReadonlyMap<string, string>> {
  const inputs = new Map<string, string>();
  const numbers = Array.from({ length: count }, (_, n) => n);
  await forEachAtOnce(numbers, CLIENTS, async (n) => {
    const input = JSON.stringify({ n, work_ms: workMs });
    const response = await broker.call(`/v2/${slug}/run`, `{"input":${input}}`);
    if (response.status !== 200) throw new Error(`a submit was answered ${response.status}`);
    inputs.set(submittedSchema.parse(await response.json()).id, input);
  });
  return inputs;
}

/** Waits until no job waits or runs. Throws with what it saw last when that takes too long. */
export async function untilAllEnded(broker: RunningBroker, slug: string, maxMs: number): Promise<Health> {
  const lastMs = Date.now() + maxMs;
  while (true) {
    const health = await healthOf(broker, slug);
    if (health.jobs.inQueue + health.jobs.inProgress === 0) return health;
    if (Date.now() > lastMs) throw new Error(`jobs are left after ${maxMs} ms: ${JSON.stringify(health)}`);
    await sleep(POLL_MS);
  }
}

/** Waits until so many workers have an open poll and no job. */
export async function untilIdle(broker: RunningBroker, slug: string, workers: number, maxMs: number): Promise<void> {
  const lastMs = Date.now() + maxMs;
  while ((await healthOf(broker, slug)).workers.idle < workers) {
    if (Date.now() > lastMs) throw new Error(`${workers} workers are not there after ${maxMs} ms`);
    await sleep(POLL_MS);
  }
}

/** Jobs that are not COMPLETED with their own input as output, with what their status says. */
export async function wrongStatuses(
  broker: RunningBroker,
  slug: string,
  inputs: ReadonlyMap<string, string>,
): Promise<string[]> {
  const wrong: string[] = [];
  await forEachAtOnce([...inputs], READERS, async ([id, input]) => {
    const { status, output, error } = statusSchema.parse(await (await broker.call(`/v2/${slug}/status/${id}`)).json());
    if (status !== "COMPLETED" || JSON.stringify(output) !== input) {
      wrong.push(`${id}: ${status} ${JSON.stringify(output)} ${JSON.stringify(error)}`);
    }
  });
  return wrong;
}

/** How many usage lines each job has, once there are as many as `expected` or their time is over. */
export async function usageCounts(
  broker: RunningBroker,
  slug: string,
  fromMs: number,
  expected: number,
): Promise<ReadonlyMap<string, number>> {
  const lastMs = Date.now() + USAGE_MAX_MS;
  while (true) {
    const ids = await usageBetween(broker, slug, fromMs, Date.now() + 1);
    if (ids.length >= expected || Date.now() > lastMs) return countEach(ids);
    await sleep(POLL_MS);
  }
}

/** A page that is full is read again in two halves: the route has no cursor. */
async function usageBetween(broker: RunningBroker, slug: string, fromMs: number, toMs: number): Promise<string[]> {
  const path = `/v1/usage?endpoint=${slug}&from=${fromMs}&to=${toMs}&limit=${PAGE_MAX}`;
  const { lines } = usageSchema.parse(await (await broker.call(path)).json());
  if (lines.length < PAGE_MAX) return lines.map(({ jobId }) => jobId);
  if (toMs - fromMs < 2) throw new Error("more lines than a page holds ended in one millisecond");
  const middleMs = Math.floor((fromMs + toMs) / 2);
  const halves = [await usageBetween(broker, slug, fromMs, middleMs), await usageBetween(broker, slug, middleMs, toMs)];
  return halves.flat();
}

export function countEach(names: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

/** Results that the broker took, as it answered them. */
export function acceptedResults(gate: Gate): GateCall[] {
  return gate.calls.filter(({ route, body }) => route === "job-done" && body.includes('"accepted":true'));
}
