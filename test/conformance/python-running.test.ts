// RunPod's own workers with handlers that run side by side, and what a cancel does to them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { finishJob, type RunningBroker, startBroker, type TestEndpoints } from "../running/broker.ts";
import { VERSIONS, type Version } from "./python.ts";
import { describePython, PythonWorkers } from "./python-worker.ts";
import { billOf, statusOf, submit, until } from "./worker-processes.ts";

const AT_ONCE = 4;
/** A usage line is promised so soon after the finish. */
const BILLED_WITHIN_MS = 5_000;
/** How long a job runs before it is cancelled, so that its bill has something to count. */
const RUNS_MS = 2_500;

describePython("RunPod's Python worker with an async handler", (interpreters) => {
  const workers = new PythonWorkers(interpreters);
  const meeting = new Map<Version, readonly string[]>();
  let broker: RunningBroker;

  beforeAll(async () => {
    const endpoints: TestEndpoints = Object.fromEntries(
      VERSIONS.map((version) => [slugOf(version), { workers: { slots: AT_ONCE } }]),
    );
    broker = await startBroker(endpoints);
    for (const version of VERSIONS) {
      // Before the worker: 1.7.4 starts no job while others run, so the four have to come by one call.
      const jobs = Array.from({ length: AT_ONCE }, () =>
        submit(broker, slugOf(version), { kind: "meet", count: AT_ONCE }),
      );
      meeting.set(version, await Promise.all(jobs));
      workers.start(broker, slugOf(version), { version, mode: "async", jobsAtOnce: AT_ONCE });
    }
  });

  afterAll(() => broker?.stop());

  it.each(VERSIONS)("runpod %s runs as many jobs at once as its key has slots", async (version) => {
    for (const id of meeting.get(version) ?? []) {
      const ended = JSON.parse((await finishJob(broker, slugOf(version), id)).toString("utf8"));
      expect(ended).toMatchObject({ status: "COMPLETED", output: { met: AT_ONCE } });
    }
  });

  /** Starts a job, cancels it while its handler runs, and looks at the status and the bill. */
  async function cancelRunning(version: Version) {
    const slug = slugOf(version);
    const name = `cancel-${version}`;
    const id = await submit(broker, slug, { kind: "hold", name });
    const { atMs: startedAtMs } = await workers.mark(name, "started");
    await until("the job has run for a while", () => Date.now() > startedAtMs + RUNS_MS);
    const askedAtMs = Date.now();
    const answer = await broker.call(`/v2/${slug}/cancel/${id}`, "");
    expect(await answer.json()).toMatchObject({ id, status: "CANCELLED" });
    expect(await statusOf(broker, slug, id)).toMatchObject({ status: "CANCELLED" });
    return { slug, name, id, startedAtMs, askedAtMs };
  }

  /** The one line of the bill: the seconds until the cancel, and not those that the handler went on. */
  async function billUntilCancel({ id, startedAtMs, askedAtMs }: Awaited<ReturnType<typeof cancelRunning>>) {
    const read = async () => {
      const lines = await billOf(broker, id);
      return lines.length > 0 && lines;
    };
    const lines = await until("the cancelled job is billed", read, BILLED_WITHIN_MS);
    expect(lines).toHaveLength(1);
    const [line] = lines;
    expect(line?.finishedAt).toBeGreaterThanOrEqual(askedAtMs);
    expect(line?.finishedAt).toBeLessThan(askedAtMs + 3_000);
    const ranSeconds = (askedAtMs - startedAtMs) / 1_000;
    expect(line?.seconds).toBeGreaterThanOrEqual(Math.floor(ranSeconds));
    // Rounded up, and it had been given out a moment before the handler began.
    expect(line?.seconds).toBeLessThanOrEqual(Math.ceil(ranSeconds) + 2);
    return lines;
  }

  it.each(["newest", "2.0.0rc2"] as const)("stops the handler of runpod %s within 2 s of a cancel", async (version) => {
    const cancelled = await cancelRunning(version);
    const { atMs } = await workers.mark(cancelled.name, "cancelled");
    expect(atMs - cancelled.askedAtMs).toBeLessThan(2_000);
    await billUntilCancel(cancelled);
    expect(workers.has(cancelled.name, "ended")).toBe(false);
  });

  describe.each(["1.7.4", "1.6.2"] as const)("runpod %s, which cannot be told to stop", (version) => {
    it("is not billed beyond the cancel, and its late result is refused", async () => {
      const cancelled = await cancelRunning(version);
      const { slug, name, id } = cancelled;
      const bill = await billUntilCancel(cancelled);
      expect(workers.has(name, "ended")).toBe(false);
      workers.release(name);
      await workers.mark(name, "ended");
      await until("the late result has come", () => hasLateReport(id));
      expect(await statusOf(broker, slug, id)).toMatchObject({ status: "CANCELLED" });
      expect(await statusOf(broker, slug, id)).not.toHaveProperty("output");
      expect(await billOf(broker, id)).toEqual(bill);
    });

    it("goes on with the next job", async () => {
      const id = await submit(broker, slugOf(version), { kind: "meet", count: 1 });
      const ended = JSON.parse((await finishJob(broker, slugOf(version), id)).toString("utf8"));
      expect(ended).toMatchObject({ status: "COMPLETED" });
    });
  });

  /** The worker is answered 200 either way, so only the broker's log tells that its result came and was refused. */
  function hasLateReport(id: string): boolean {
    const lines = readFileSync(join(broker.folder, "broker.log"), "utf8").split("\n");
    return lines.some((line) => line.includes("late_report") && line.includes(id));
  }
});

function slugOf(version: Version): string {
  return `${version.replaceAll(".", "-")}-async`;
}
