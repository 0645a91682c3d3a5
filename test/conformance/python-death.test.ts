// What becomes of a job whose worker dies. The newest version's heartbeat is a process of its own, which survives the death
// of the main process and goes on naming the job: so heartbeats alone prove nothing.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isGroupAlive } from "../../src/cli/dev-processes.ts";
import { WORKER_LEASE_MS } from "../../src/core/limits.ts";
import { finishJob, type RunningBroker, startBroker } from "../running/broker.ts";
import { describePython, PythonWorkers } from "./python-worker.ts";
import { statusOf, submit, until, type WorkerProcess } from "./worker-processes.ts";

/** Three heartbeat intervals. */
const LOST_WITHIN_MS = 30_000;
/** Beyond a lease that nobody renews, so that only heartbeats can have kept the job alive until then. */
const EXECUTION_TIMEOUT_MS = WORKER_LEASE_MS + 7_000;
/** A new process takes some seconds to start; without its word the job would have come only after a whole lease. */
const AT_ONCE_MS = 5_000;

/** Those whose heartbeat is a process of its own. */
const VERSIONS = ["newest", "2.0.0rc2"] as const;
type Version = (typeof VERSIONS)[number];

describePython("RunPod's Python worker that dies", (interpreters) => {
  const workers = new PythonWorkers(interpreters);
  let broker: RunningBroker;

  beforeAll(async () => {
    const slugs = VERSIONS.flatMap((version) => ["group", "again", "orphan"].map((what) => slugOf(what, version)));
    broker = await startBroker(Object.fromEntries(slugs.map((slug) => [slug, { workers: {} }])));
  });

  afterAll(() => broker?.stop());

  /** A worker that holds the only job of an endpoint. */
  async function holding(version: Version, slug: string, policy?: object) {
    const worker = workers.start(broker, slug, { version, mode: "async" });
    const id = await submit(broker, slug, { kind: "hold", name: slug }, policy);
    const started = await workers.mark(slug, "started", 60_000);
    expect(started.worker).toBe(worker.id);
    workers.unmark(slug, "started");
    return { worker, id };
  }

  async function finish(slug: string, id: string): Promise<unknown> {
    return JSON.parse((await finishJob(broker, slug, id)).toString("utf8"));
  }

  /** `kill -9` of the main process alone. Its heartbeat process must be there still, or the test would show nothing. */
  async function orphan(worker: WorkerProcess): Promise<void> {
    worker.signal("SIGKILL");
    await until("the main process is gone", () => worker.exitCode() === null);
    expect(isGroupAlive(worker.pid)).toBe(true);
  }

  // Each waits for a lease or a held poll to end, so they wait side by side.
  describe.concurrent.each(VERSIONS)("in the middle of a job, as runpod %s,", (version) => {
    it("is found dead within three heartbeats, and another worker runs the job", async () => {
      const slug = slugOf("group", version);
      const { worker, id } = await holding(version, slug);
      const other = workers.start(broker, slug, { version, mode: "async" });
      await worker.kill9();
      const killedAtMs = Date.now();
      const isRetried = async () => (await statusOf(broker, slug, id)).retries === 1;
      await until("the job is known to be lost", isRetried, LOST_WITHIN_MS);
      const again = await workers.mark(slug, "started", 15_000);
      expect(again.worker).toBe(other.id);
      expect(again.atMs).toBeGreaterThan(killedAtMs);
      workers.release(slug);
      expect(await finish(slug, id)).toMatchObject({
        status: "COMPLETED",
        output: "held",
        retries: 1,
        workerId: other.id,
      });
    });

    it("gets the job again at once when a new process comes with its id, whatever the orphan says", async () => {
      const slug = slugOf("again", version);
      const { worker, id } = await holding(version, slug);
      await orphan(worker);
      const next = workers.start(broker, slug, { version, mode: "async", id: worker.id });
      const asksAtMs = await until(
        "the new process asks for jobs",
        () => next.log().includes("job-take") && Date.now(),
      );
      const again = await workers.mark(slug, "started", AT_ONCE_MS);
      expect(again.atMs - asksAtMs).toBeLessThan(AT_ONCE_MS);
      expect(isGroupAlive(worker.pid)).toBe(true);
      workers.release(slug);
      expect(await finish(slug, id)).toMatchObject({ status: "COMPLETED", output: "held", workerId: worker.id });
    });

    it("ends the job at its executionTimeout when only the orphan goes on", async () => {
      const slug = slugOf("orphan", version);
      const { worker, id } = await holding(version, slug, { executionTimeout: EXECUTION_TIMEOUT_MS });
      const startedAtMs = Date.now();
      await orphan(worker);
      const isPastLease = () => Date.now() > startedAtMs + WORKER_LEASE_MS + 3_000;
      await until("a lease without heartbeats would have ended", isPastLease, WORKER_LEASE_MS + 10_000);
      expect(await statusOf(broker, slug, id)).toMatchObject({ status: "IN_PROGRESS", workerId: worker.id });
      expect(await finish(slug, id)).toMatchObject({ status: "FAILED", error: "executionTimeout exceeded" });
      expect(Date.now() - startedAtMs).toBeLessThan(EXECUTION_TIMEOUT_MS + 5_000);
      expect(isGroupAlive(worker.pid)).toBe(true);
    });
  });
});

function slugOf(what: string, version: Version): string {
  return `${what}-${version.replaceAll(".", "-")}`;
}
