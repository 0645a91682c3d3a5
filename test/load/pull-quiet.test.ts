// One waiting worker and nothing else: how seldom it asks while there are no jobs, and how soon it has one when there is.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { callBroker, type RunningBroker, startBroker } from "../running/broker.ts";
import { percentile, shownMs } from "../support/figures.ts";
import { Fleet } from "./fleet.ts";
import { type Gate, startGate } from "./gate.ts";
import { countEach, healthOf, untilIdle } from "./pulled-jobs.ts";

const MINUTE_MS = 60_000;
const WATCHED_MS = 65_000;
const READY_MAX_MS = 30_000;
/** Requests of an idle worker within any minute. */
const A_MINUTE_MAX = { "job-take": 3, "job-stop": 1, ping: 6 } as const;
const ROUNDS = 200;
/** The submit is one of them; the answer of the poll travels beside its own. */
const HTTP_CALLS_MAX = 4;

const idSchema = z.object({ id: z.string() });

let broker: RunningBroker;
let gate: Gate;

beforeAll(async () => {
  broker = await startBroker({ "pull-idle": { workers: {} }, "pull-soon": { workers: {} } });
  gate = await startGate(broker.url);
});

afterAll(async () => {
  await gate?.stop();
  await broker?.stop();
});

/** The most of these times that lie within one minute. */
function mostInAMinute(timesMs: readonly number[]): number {
  const from = (startMs: number) => timesMs.filter((atMs) => atMs >= startMs && atMs < startMs + MINUTE_MS).length;
  return Math.max(0, ...timesMs.map(from));
}

it("asks at most 3 times a minute for jobs, once for stops, and pings 6 times while it has no job", {
  timeout: 2 * MINUTE_MS,
}, async () => {
  const place = broker.workerKeys["pull-idle"];
  if (place === undefined) throw new Error("the endpoint has no workers");
  const fleet = new Fleet({ base: gate.url, ...place });
  try {
    fleet.start("pod-idle");
    await untilIdle(broker, "pull-idle", 1, READY_MAX_MS);
    await sleep(WATCHED_MS);
  } finally {
    await fleet.stop();
  }
  const routes = [...countEach(gate.calls.map(({ route }) => route)).keys()];
  const most = routes.map((route) => {
    return [route, mostInAMinute(gate.calls.filter((call) => call.route === route).map(({ atMs }) => atMs))] as const;
  });
  console.info(`requests of an idle worker within a minute: ${JSON.stringify(Object.fromEntries(most))}`);
  expect(routes.toSorted()).toEqual(Object.keys(A_MINUTE_MAX).toSorted());
  for (const [route, bound] of Object.entries(A_MINUTE_MAX)) {
    expect(new Map(most).get(route), route).toBeLessThanOrEqual(bound);
  }
});

async function timed(act: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await act();
  return performance.now() - startedMs;
}

it("has a submitted job within the time of a few calls over HTTP", { timeout: 2 * MINUTE_MS }, async () => {
  const place = broker.workerKeys["pull-soon"];
  if (place === undefined) throw new Error("the endpoint has no workers");
  const base = `${broker.url}/v2/${place.endpointId}`;
  const asWorker = async (path: string, body?: string) => {
    const response = await callBroker(`${base}/${path}`, place.key, { body });
    expect(response.status).toBe(200);
    return response.json();
  };
  const bare: number[] = [];
  const handed: number[] = [];
  // The first one wakes the object and fills the caches of the edge.
  for (let round = 0; round <= ROUNDS; round += 1) {
    const taking = asWorker("job-take/w1?gpu=SIM&job_in_progress=0");
    await untilIdle(broker, "pull-soon", 1, READY_MAX_MS);
    const bareMs = await timed(() => healthOf(broker, "pull-soon"));
    let submitting: Promise<Response> | undefined;
    const handedMs = await timed(() => {
      submitting = broker.call("/v2/pull-soon/run", '{"input":{}}');
      return taking;
    });
    const { id } = idSchema.parse(await (await submitting)?.json());
    expect(await taking).toMatchObject({ id });
    await asWorker(`job-done/w1/${id}?gpu=SIM&isStream=false`, '{"output":1}');
    if (round === 0) continue;
    bare.push(bareMs);
    handed.push(handedMs);
  }
  console.info(`over HTTP: one call to the broker: ${shownMs(bare)}; from a submit to the job: ${shownMs(handed)}`);
  expect(percentile(handed, 0.5)).toBeLessThanOrEqual(HTTP_CALLS_MAX * percentile(bare, 0.5));
});
