// A running broker and fifty pulling workers as processes, for 5,000 small jobs.
import { setTimeout as sleep } from "node:timers/promises";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { NO_LIMITS } from "../support/stored.ts";
import { Fleet } from "./fleet.ts";
import { type Gate, startGate } from "./gate.ts";
import { untilIdle } from "./pulled-jobs.ts";

export const WORKERS = 50;
export const JOBS = 5_000;
export const WORK_MS = 250;
/** Between two starts: each costs a core a tenth of a second. */
const START_PACE_MS = 60;
const READY_MAX_MS = 60_000;
export const ENDED_MAX_MS = 280_000;
export const TEST_MAX_MS = 360_000;

/** A broker with this endpoint, whose workers pull. */
export function startPulledBroker(slug: string): Promise<RunningBroker> {
  return startBroker({ [slug]: { workers: {}, maxAttempts: 10 } }, { limits: NO_LIMITS });
}

/** A fleet of this endpoint with all workers waiting, and a gate through which its results go. */
export async function startFleet(
  broker: RunningBroker,
  slug: string,
): Promise<{ readonly fleet: Fleet; readonly gate: Gate }> {
  const place = broker.workerKeys[slug];
  if (place === undefined) throw new Error(`${slug} has no workers`);
  const gate = await startGate(broker.url);
  const fleet = new Fleet({ base: broker.url, doneBase: gate.url, ...place });
  try {
    for (let n = 0; n < WORKERS; n += 1) {
      fleet.start(`pod-${n}`);
      await sleep(START_PACE_MS);
    }
    await untilIdle(broker, slug, WORKERS, READY_MAX_MS);
    return { fleet, gate };
  } catch (error) {
    await Promise.all([fleet.stop(), gate.stop()]);
    throw error;
  }
}
