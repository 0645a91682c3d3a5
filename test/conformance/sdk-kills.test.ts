// Three of our own workers under load: killed, told to end, or held still for a while. Every job ends with its right output, is billed
// once, and takes another attempt only where its worker was killed.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { AT_ONCE, JOBS, runDisturbed, TAKES_MAX_MS } from "./kills.ts";
import { SdkWorkers } from "./sdk-workers.ts";
import { until, type WorkerProcess } from "./worker-processes.ts";

/** Shorter than a lease, so that the worker keeps its jobs. */
const STILL_MS = 3_000;
/** The longest job takes a second. */
const ENDS_WITHIN_MS = 10_000;

describe("our own workers that are disturbed under load", () => {
  const workers = new SdkWorkers();
  let broker: RunningBroker;
  let killed = 0;

  beforeAll(async () => {
    broker = await startBroker({ chaos: { workers: { slots: AT_ONCE }, maxAttempts: 10 } });
  });

  afterAll(() => broker?.stop());

  const start = (_place: number, id?: string): WorkerProcess =>
    workers.start(broker, "chaos", { mode: "async", jobsAtOnce: AT_ONCE, ...(id !== undefined && { id }) });

  it(
    `complete all of ${JOBS} jobs, each billed once`,
    async () => {
      const retried = await runDisturbed(broker, start, async (victim, place, random) => {
        const what = random();
        const id = random() < 0.5 ? victim.id : undefined;
        if (what < 0.4) {
          killed += 1;
          await victim.kill9();
          return start(place, id);
        }
        if (what < 0.7) {
          victim.signal("SIGTERM");
          await until("the worker has ended", () => victim.exitCode() !== undefined, ENDS_WITHIN_MS);
          expect(victim.exitCode()).toBe(0);
          return start(place, id);
        }
        victim.signal("SIGSTOP");
        await sleep(STILL_MS);
        victim.signal("SIGCONT");
        return victim;
      });
      expect(retried).toBeLessThanOrEqual(killed * AT_ONCE);
    },
    TAKES_MAX_MS + 60_000,
  );
});
