// RunPod's own workers that are to end, by a signal or by their own configuration: they finish what they hold, and are gone
// soon after. A worker awaits its open polls before it exits.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TAKE_HOLD_MAX_MS } from "../../src/core/limits.ts";
import { finishJob, type RunningBroker, startBroker, type TestEndpoints } from "../running/broker.ts";
import { VERSIONS, type Version } from "./python.ts";
import { describePython, PythonWorkers } from "./python-worker.ts";
import { statusOf, submit, until, type WorkerProcess } from "./worker-processes.ts";

/** Its job-stop is let go after 2.5 s, and it looks each second whether it is to go on; the rest is for a slow machine. */
const SOON_MS = 10_000;

/** How long an exit may take after a signal. runpod 1.7.4 has asked for one more job while it ran the last one. */
const EXIT_MAX_MS = { newest: SOON_MS, "2.0.0rc2": SOON_MS, "1.7.4": TAKE_HOLD_MAX_MS + SOON_MS } as const;

describePython("RunPod's Python worker that is to end", (interpreters) => {
  const workers = new PythonWorkers(interpreters);
  let broker: RunningBroker;

  beforeAll(async () => {
    const slugs = [
      ...VERSIONS.flatMap((version) => [
        slugOf("sigterm", version),
        slugOf("refresh", version),
        slugOf("idle", version),
      ]),
    ];
    const endpoints: TestEndpoints = Object.fromEntries(slugs.map((slug) => [slug, { workers: {} }]));
    broker = await startBroker(endpoints);
  });

  afterAll(() => broker?.stop());

  async function finish(slug: string, id: string): Promise<unknown> {
    return JSON.parse((await finishJob(broker, slug, id)).toString("utf8"));
  }

  async function expectExit(worker: WorkerProcess, maxMs: number): Promise<void> {
    expect(await until(`the worker ${worker.id} has ended`, () => worker.exitCode() ?? undefined, maxMs)).toBe(0);
  }

  // Each has an endpoint and a worker of its own, and most of them wait.
  describe.concurrent("exits with 0", () => {
    // runpod 1.6.2 has no handler of SIGTERM: it dies of it.
    it.each(["newest", "2.0.0rc2", "1.7.4"] as const)(
      "after the job that SIGTERM finds it at, as runpod %s",
      async (version) => {
        const slug = slugOf("sigterm", version);
        const worker = workers.start(broker, slug, { version, mode: "async" });
        const id = await submit(broker, slug, { kind: "hold", name: slug });
        await workers.mark(slug, "started", 60_000);
        worker.signal("SIGTERM");
        await until("the signal has come", () => worker.log().includes("Received shutdown signal"));
        expect(await statusOf(broker, slug, id)).toMatchObject({ status: "IN_PROGRESS" });
        workers.release(slug);
        expect(await finish(slug, id)).toMatchObject({ status: "COMPLETED", output: "held", workerId: worker.id });
        await expectExit(worker, EXIT_MAX_MS[version]);
      },
    );

    it.each(["newest", "2.0.0rc2"] as const)(
      "after the job-take that SIGTERM finds open, as runpod %s",
      async (version) => {
        const worker = workers.start(broker, slugOf("idle", version), { version, mode: "async" });
        await until("it has asked for a job", () => worker.log().includes("Starting job acquisition"), 60_000);
        worker.signal("SIGTERM");
        await expectExit(worker, TAKE_HOLD_MAX_MS + SOON_MS);
      },
    );

    it.each(VERSIONS)("after a job when its configuration says refresh_worker, as runpod %s", async (version) => {
      const slug = slugOf("refresh", version);
      const worker = workers.start(broker, slug, { version, mode: "refresh" });
      const id = await submit(broker, slug, { kind: "value" });
      expect(await finish(slug, id)).toMatchObject({ status: "COMPLETED", output: { echo: { kind: "value" } } });
      await expectExit(worker, SOON_MS);
    });
  });
});

function slugOf(what: "sigterm" | "refresh" | "idle", version: Version): string {
  return `${what}-${version.replaceAll(".", "-")}`;
}
