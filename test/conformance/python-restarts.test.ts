// RunPod's own workers that leave a job to others: by a result that asks for their restart, while they have another job-take open,
// and by a prestart hook that fails or is stopped (runpod 2.0).
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { isGroupAlive } from "../../src/cli/dev-processes.ts";
import { START_FAILURES_MAX, WORKER_PING_INTERVAL_MS } from "../../src/core/limits.ts";
import { finishJob, type RunningBroker, startBroker, type TestEndpoints } from "../running/broker.ts";
import { describePython, PythonWorkers } from "./python-worker.ts";
import { billOf, statusOf, submit, until, type WorkerProcess } from "./worker-processes.ts";

const AT_ONCE = 4;
/** Its job-stop is let go at once, and it looks each second whether it is to go on; the rest is for a slow machine. */
const EXIT_MAX_MS = 10_000;
/** A worker that is free asks again within a second. */
const TAKEN_WITHIN_MS = 3_000;
const SDK2 = "2.0.0rc2";

const listSchema = z.object({ workers: z.array(z.looseObject({ id: z.string(), state: z.string() })) });

describePython("RunPod's Python worker that starts or leaves", (interpreters) => {
  const workers = new PythonWorkers(interpreters);
  let broker: RunningBroker;

  beforeAll(async () => {
    const one = ["refresh-1-7-4", "good-hook", "stopped-hook", "late-hook", "early-hook", "loop"].map(
      (slug) => [slug, { workers: {} }] as const,
    );
    const four = ["refresh-newest", "refresh-2-0"].map((slug) => [slug, { workers: { slots: AT_ONCE } }] as const);
    const endpoints: TestEndpoints = Object.fromEntries([...one, ...four]);
    broker = await startBroker(endpoints);
  });

  afterAll(() => broker?.stop());

  async function finish(slug: string, id: string): Promise<unknown> {
    return JSON.parse((await finishJob(broker, slug, id)).toString("utf8"));
  }

  async function exitOf(worker: WorkerProcess): Promise<number> {
    return await until(`the worker ${worker.id} has ended`, () => worker.exitCode() ?? undefined, EXIT_MAX_MS);
  }

  async function viewOf(slug: string, { id }: WorkerProcess) {
    const { workers: all } = listSchema.parse(await (await broker.call(`/v1/endpoints/${slug}/workers`)).json());
    return all.find((view) => view.id === id);
  }

  /** The job has been left alone by the worker that ended, and another one runs it as soon as it is there to. */
  async function expectNextElsewhere(slug: string, leaver: WorkerProcess, id: string): Promise<void> {
    expect(await exitOf(leaver)).toBe(0);
    expect(await statusOf(broker, slug, id)).toMatchObject({ status: "IN_QUEUE", queue: { reason: "NO_WORKERS" } });
    expect(await viewOf(slug, leaver)).not.toMatchObject({ state: "IDLE" });
    const other = workers.start(broker, slug, { mode: "async" });
    const asksAtMs = await until("it asks for jobs", () => other.log().includes("job-take") && Date.now(), 60_000);
    const ended = await finish(slug, id);
    expect(Date.now() - asksAtMs).toBeLessThan(TAKEN_WITHIN_MS);
    expect(ended).toMatchObject({ status: "COMPLETED", workerId: other.id });
    expect(ended).not.toHaveProperty("retries");
    await expectBilledOnce(id);
  }

  /** The broker shows a job as handed out a moment before the process has read it: one that ends by then never had it. */
  async function hasRead(worker: WorkerProcess): Promise<void> {
    await until("the process has read its job", () => worker.log().includes("Jobs in queue: 1"));
  }

  async function expectBilledOnce(id: string): Promise<void> {
    await until("it is billed", async () => (await billOf(broker, id)).length > 0);
    expect(await billOf(broker, id)).toHaveLength(1);
  }

  it("waits with the job that it has taken until its prestart hook is done", async () => {
    const slug = "good-hook";
    const worker = workers.start(broker, slug, { version: SDK2, mode: "hook" });
    const id = await submit(broker, slug, { kind: "hold", name: slug });
    await until("it holds the job", async () => (await statusOf(broker, slug, id)).status === "IN_PROGRESS", 60_000);
    await workers.mark(`hook-${worker.id}`, "started");
    expect(workers.has(slug, "started")).toBe(false);
    workers.release(`hook-${worker.id}`);
    await workers.mark(slug, "started");
    workers.release(slug);
    expect(await finish(slug, id)).toMatchObject({ status: "COMPLETED", output: "held", workerId: worker.id });
    await expectBilledOnce(id);
  });

  // Each has an endpoint and workers of its own, and most of them wait.
  describe.concurrent("does not take the next job with it", () => {
    it.each([
      ["newest", "refresh-newest"],
      [SDK2, "refresh-2-0"],
    ] as const)("when runpod %s with four slots restarts after each job", async (version, slug) => {
      const leaver = workers.start(broker, slug, { version, mode: "refresh at once", jobsAtOnce: AT_ONCE });
      const first = await submit(broker, slug, { kind: "hold", name: slug });
      await workers.mark(slug, "started", 60_000);
      const isPolling = async () =>
        z
          .object({ workers: z.object({ ready: z.int() }) })
          .parse(await (await broker.call(`/v2/${slug}/health`)).json()).workers.ready === 1;
      await until("its second job-take is open", isPolling);
      workers.release(slug);
      await finish(slug, first);
      await expectNextElsewhere(slug, leaver, await submit(broker, slug, { n: 2 }));
    });

    it("when runpod 1.7.4 has asked for it ahead", async () => {
      const slug = "refresh-1-7-4";
      const leaver = workers.start(broker, slug, { version: "1.7.4", mode: "refresh" });
      await finish(slug, await submit(broker, slug, { kind: "value" }));
      await expectNextElsewhere(slug, leaver, await submit(broker, slug, { n: 2 }));
    });

    it("when it is shut down while its prestart hook runs", async () => {
      const slug = "stopped-hook";
      const stopped = workers.start(broker, slug, { version: SDK2, mode: "hook" });
      const id = await submit(broker, slug, { n: 1 });
      await until("it holds the job", async () => (await statusOf(broker, slug, id)).status === "IN_PROGRESS", 60_000);
      await workers.mark(`hook-${stopped.id}`, "started");
      await hasRead(stopped);
      stopped.signal("SIGTERM");
      const isBack = async () => (await statusOf(broker, slug, id)).status === "IN_QUEUE";
      await until("the job waits again", isBack, EXIT_MAX_MS);
      await exitOf(stopped);
      expect(await viewOf(slug, stopped)).toMatchObject({
        state: "UNHEALTHY",
        reason: "It was shut down before its start was done.",
      });
      const good = workers.start(broker, slug, { version: SDK2, mode: "async" });
      const ended = await finish(slug, id);
      expect(ended).toMatchObject({ status: "COMPLETED", workerId: good.id });
      expect(ended).not.toHaveProperty("retries");
      await expectBilledOnce(id);
    });

    it("when its prestart hook fails, and its heartbeats that go on make it no idle one", async () => {
      const slug = "late-hook";
      const broken = workers.start(broker, slug, { version: SDK2, mode: "hook fails" });
      const id = await submit(broker, slug, { n: 1 });
      await until("it holds the job", async () => (await statusOf(broker, slug, id)).status === "IN_PROGRESS", 60_000);
      await hasRead(broken);
      workers.release(`hook-${broken.id}`);
      const isBack = async () => (await statusOf(broker, slug, id)).status === "IN_QUEUE";
      await until("the job waits again", isBack, TAKEN_WITHIN_MS);
      expect(await exitOf(broken)).toBe(1);
      const failedAtMs = Date.now();
      const failed = { state: "UNHEALTHY", reason: "Its start failed in the hook load_model: RuntimeError: no GPU" };
      expect(await viewOf(slug, broken)).toMatchObject(failed);
      const hasPinged = () => Date.now() > failedAtMs + WORKER_PING_INTERVAL_MS + 2_000;
      await until("a heartbeat of the orphan has come", hasPinged);
      expect(isGroupAlive(broken.pid)).toBe(true);
      expect(await viewOf(slug, broken)).toMatchObject(failed);
      expect(await statusOf(broker, slug, id)).toMatchObject({ status: "IN_QUEUE", queue: { reason: "NO_WORKERS" } });
      const good = workers.start(broker, slug, { version: SDK2, mode: "async" });
      const ended = await finish(slug, id);
      expect(ended).toMatchObject({ status: "COMPLETED", workerId: good.id });
      expect(ended).not.toHaveProperty("retries");
      await expectBilledOnce(id);
    });

    it("when its prestart hook fails before it has read the job", async () => {
      const slug = "early-hook";
      const id = await submit(broker, slug, { n: 1 });
      const broken = workers.start(broker, slug, { version: SDK2, mode: "hook fails at once" });
      expect(await until("it has ended", () => broken.exitCode() ?? undefined, 60_000)).toBe(1);
      expect(broken.log()).toContain("Failing job before prestart completed");
      expect(await statusOf(broker, slug, id)).toMatchObject({ status: "IN_QUEUE" });
      const good = workers.start(broker, slug, { version: SDK2, mode: "async" });
      const asksAtMs = await until("the other asks", () => good.log().includes("job-take") && Date.now(), 60_000);
      const ended = await finish(slug, id);
      expect(Date.now() - asksAtMs).toBeLessThan(TAKEN_WITHIN_MS);
      expect(ended).toMatchObject({ status: "COMPLETED", workerId: good.id });
      expect(ended).not.toHaveProperty("retries");
    });

    it("for ever: when every start of it fails the job ends with the hook's own error, unbilled", async () => {
      const slug = "loop";
      const id = await submit(broker, slug, { n: 1 });
      const starts: WorkerProcess[] = [];
      while ((await statusOf(broker, slug, id)).status !== "FAILED" && starts.length <= START_FAILURES_MAX + 2) {
        const worker = workers.start(broker, slug, { version: SDK2, mode: "hook fails at once", id: "crashing" });
        starts.push(worker);
        await until("it has ended", () => worker.exitCode() ?? undefined, 60_000);
      }
      const { status, error } = z
        .looseObject({ status: z.string(), error: z.string().optional() })
        .parse(await statusOf(broker, slug, id));
      expect(status).toBe("FAILED");
      // None came and went without the job: the SDK asks for one for 10 s after its start has failed, and the pauses of a
      // worker whose starts fail are shorter, as is what a take costs that the SDK cuts when the job is on its way.
      expect(starts).toHaveLength(START_FAILURES_MAX + 1);
      expect(JSON.parse(error ?? "")).toMatchObject({ event: "prestart_failed", error_message: "no GPU" });
      expect(await billOf(broker, id)).toEqual([]);
    });
  });
});
