// Three of RunPod's own workers under load, killed with `kill -9` ten times and started again, now with the same id and now
// with a new one: every job ends with its right output, and is billed once.
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { AT_ONCE, JOBS, runDisturbed, TAKES_MAX_MS } from "./kills.ts";
import { describePython, PythonWorkers } from "./python-worker.ts";
import type { WorkerProcess } from "./worker-processes.ts";

describePython("RunPod's Python workers that are killed under load", (interpreters) => {
  const workers = new PythonWorkers(interpreters);
  let broker: RunningBroker;

  beforeAll(async () => {
    broker = await startBroker({ chaos: { workers: { slots: AT_ONCE }, maxAttempts: 10 } });
  });

  afterAll(() => broker?.stop());

  /** Every other worker is of the next version. */
  const start = (place: number, id?: string): WorkerProcess =>
    workers.start(broker, "chaos", {
      version: place % 2 === 0 ? "newest" : "2.0.0rc2",
      mode: "async",
      jobsAtOnce: AT_ONCE,
      ...(id !== undefined && { id }),
    });

  it(
    `complete all of ${JOBS} jobs, each billed once`,
    async () => {
      const { retried } = await runDisturbed(broker, start, async (victim, place, random) => {
        const keepsId = random() < 0.5;
        await victim.kill9();
        return start(place, keepsId ? victim.id : undefined);
      });
      // Otherwise the kills hit only workers that did nothing, and the test has shown nothing.
      expect(retried).toBeGreaterThanOrEqual(5);
    },
    TAKES_MAX_MS + 60_000,
  );
});
