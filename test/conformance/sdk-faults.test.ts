// Our own workers that are killed, stopped, cut off and refused: no result is lost, and none is handled twice without an attempt that
// tells so. The cases wait for leases and outages, so they wait side by side.
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { CHUNK_MAX_BYTES, WORKER_LEASE_MS } from "../../src/core/limits.ts";
import { callBroker, finishJob, prepareBroker, type RunningBroker, startBroker } from "../running/broker.ts";
import { SdkWorkers } from "./sdk-workers.ts";
import { billOf, statusOf, submit, until } from "./worker-processes.ts";

const LOST_WITHIN_MS = WORKER_LEASE_MS + 15_000;
const OUTAGE_MS = 60_000;
/** A shutdown of a worker without jobs: its poll is answered soon, or cut after 2 s. */
const SOON_MS = 3_000;
const SLUGS = [
  "killed",
  "stopped",
  "ended",
  "idle",
  "computing",
  "refused",
  "refreshed",
  "hook",
  "cancelled",
  "chunks",
];

const streamedSchema = z.object({ status: z.string(), output: z.array(z.unknown()) });
const seenSchema = z.object({ workers: z.array(z.object({ id: z.string(), lastSeenAt: z.number() })) });

describe("our own worker", () => {
  const workers = new SdkWorkers();
  let broker: RunningBroker;

  beforeAll(async () => {
    broker = await startBroker(Object.fromEntries(SLUGS.map((slug) => [slug, { workers: {} }])));
  });

  afterAll(() => broker?.stop());

  async function finish(slug: string, id: string): Promise<unknown> {
    return JSON.parse((await finishJob(broker, slug, id)).toString("utf8"));
  }

  async function lastSeenAtMs(slug: string, worker: string): Promise<number> {
    const { workers: seen } = seenSchema.parse(await (await broker.call(`/v1/endpoints/${slug}/workers`)).json());
    return seen.find(({ id }) => id === worker)?.lastSeenAt ?? 0;
  }

  /** A worker that holds the only job of an endpoint. */
  async function holding(slug: string) {
    const worker = workers.start(broker, slug, { mode: "async" });
    const id = await submit(broker, slug, { kind: "hold", name: slug });
    const { atMs } = await workers.mark(slug, "started");
    workers.unmark(slug, "started");
    // A job whose worker falls silent before that counts as never delivered, and its next attempt as the first.
    await until("the broker has heard of the worker since", async () => (await lastSeenAtMs(slug, worker.id)) > atMs);
    return { worker, id };
  }

  describe.concurrent("that holds a job", () => {
    it("and is killed loses it to another worker, as a second attempt", async () => {
      const { worker, id } = await holding("killed");
      const other = workers.start(broker, "killed", { mode: "async" });
      await worker.kill9();
      await until("the job is lost", async () => (await statusOf(broker, "killed", id)).retries === 1, LOST_WITHIN_MS);
      expect((await workers.mark("killed", "started")).worker).toBe(other.id);
      workers.release("killed");
      expect(await finish("killed", id)).toMatchObject({ output: "held", retries: 1, workerId: other.id });
    });

    it("and stands still for longer than its lease loses it, and its late result changes nothing", async () => {
      const { worker, id } = await holding("stopped");
      worker.signal("SIGSTOP");
      const other = workers.start(broker, "stopped", { mode: "async" });
      await until("the job is lost", async () => (await statusOf(broker, "stopped", id)).retries === 1, LOST_WITHIN_MS);
      expect((await workers.mark("stopped", "started", LOST_WITHIN_MS)).worker).toBe(other.id);
      worker.signal("SIGCONT");
      workers.release("stopped");
      expect(await finish("stopped", id)).toMatchObject({ output: "held", retries: 1, workerId: other.id });
      await until("the late report has ended in the worker", () => /"isTaken"|dropped/.test(worker.log()));
      expect(await statusOf(broker, "stopped", id)).toMatchObject({ output: "held", workerId: other.id });
    });

    it("finishes it after SIGTERM, reports it, and ends with 0", async () => {
      const { worker, id } = await holding("ended");
      worker.signal("SIGTERM");
      await until("the worker has read the signal", () => worker.log().includes("ends when its jobs are done"));
      await sleep(500);
      expect(worker.exitCode()).toBeUndefined();
      workers.release("ended");
      expect(await finish("ended", id)).toMatchObject({ status: "COMPLETED", output: "held", workerId: worker.id });
      await until("the worker has ended", () => worker.exitCode() !== undefined, SOON_MS);
      expect(worker.exitCode()).toBe(0);
    });

    it("keeps it for as long as its handler computes on the main thread", async () => {
      const worker = workers.start(broker, "computing", { mode: "async" });
      const id = await submit(broker, "computing", { kind: "compute", count: WORKER_LEASE_MS + 10_000 });
      const { retries, ...ended } = (await finish("computing", id)) as Record<string, unknown>;
      expect(ended).toMatchObject({ status: "COMPLETED", output: "computed", workerId: worker.id });
      expect(retries).toBeUndefined();
    });

    it("stops it within 2 s of a cancel, and goes on with the next", async () => {
      const { id, worker } = await holding("cancelled");
      await sleep(1_500);
      const askedAtMs = Date.now();
      await broker.call(`/v2/cancelled/cancel/${id}`, "");
      expect((await workers.mark("cancelled", "cancelled")).atMs - askedAtMs).toBeLessThan(2_000);
      expect(workers.has("cancelled", "ended")).toBe(false);
      const next = await submit(broker, "cancelled", { kind: "meet", count: 1 });
      expect(await finish("cancelled", next)).toMatchObject({ status: "COMPLETED", workerId: worker.id });
    });

    it("sends its result again when it was answered 500 three times", async () => {
      const refusing = await startBetween(broker.url, (path, met) =>
        path.includes("/job-done/") && met < 3 ? "refused" : "passed",
      );
      const worker = workers.start({ ...broker, url: refusing.url }, "refused", { mode: "async" });
      const ids = await Promise.all([1, 2].map(() => submit(broker, "refused", { kind: "at once" })));
      for (const id of ids) expect(await finish("refused", id)).toMatchObject({ status: "COMPLETED" });
      expect(refusing.met()).toBe(3);
      for (const id of ids) await until("it is billed", async () => (await billOf(broker, id)).length === 1);
      expect(worker.log().match(/sent again/g)).toHaveLength(2);
      await worker.kill9();
      await refusing.stop();
    });
  });

  describe.concurrent("that streams", () => {
    it("has each chunk in the stream once, though the answer to the first post of each is lost", async () => {
      const posts: string[] = [];
      const cutting = await startBetween(broker.url, (path) => {
        if (!path.includes("/job-stream/")) return "passed";
        posts.push(path);
        return posts.length % 2 === 1 ? "cut" : "passed";
      });
      const worker = workers.start({ ...broker, url: cutting.url }, "chunks", { mode: "chunks" });
      const text = "x".repeat(CHUNK_MAX_BYTES + 100);
      const id = await submit(broker, "chunks", { kind: "large", count: text.length });
      const { output, ...ended } = streamedSchema.parse(await finish("chunks", id));
      expect(ended).toEqual({ status: "COMPLETED" });
      // The broker shows a chunk of this size as several texts.
      const [first, second, third, ...pieces] = output;
      expect([first, second, third]).toEqual(["t1", { text: "t2" }, 3]);
      expect(pieces.join("") === text).toBe(true);
      expect([cutting.met(), posts.length]).toEqual([4, 8]);
      await worker.kill9();
      await cutting.stop();
    });
  });

  describe.concurrent("that has no job", () => {
    it("ends soon after SIGTERM, although its poll is held", async () => {
      const worker = workers.start(broker, "idle", { mode: "async" });
      await until("it is ready", () => worker.log().includes("is ready"));
      await sleep(1_000);
      worker.signal("SIGTERM");
      await until("it has ended", () => worker.exitCode() !== undefined, SOON_MS);
      expect(worker.exitCode()).toBe(0);
    });

    it("ends after one job where each is to run in a new process", async () => {
      const worker = workers.start(broker, "refreshed", { mode: "refresh" });
      const id = await submit(broker, "refreshed", { kind: "value" });
      expect(await finish("refreshed", id)).toMatchObject({ status: "COMPLETED" });
      await until("it has ended", () => worker.exitCode() !== undefined, SOON_MS);
      expect(worker.exitCode()).toBe(0);
    });

    it("whose prestart hook fails takes none, reports it and ends with 1", async () => {
      const id = await submit(broker, "hook", { kind: "at once" });
      const worker = workers.start(broker, "hook", { mode: "hook fails" });
      await until("it has ended", () => worker.exitCode() !== undefined);
      expect(worker.exitCode()).toBe(1);
      const listed = await (await broker.call("/v1/endpoints/hook/workers")).text();
      expect(listed).toContain("Its fitness check prestart failed: RangeError: no GPU.");
      expect(listed).toContain("Waybill-Worker/0.1.0");
      expect(await statusOf(broker, "hook", id)).toMatchObject({ status: "IN_QUEUE" });
    });
  });
});

describe("our own workers", () => {
  const workers = new SdkWorkers();

  it("keep their results while the broker is away for a minute, in few lines of log and calls", {
    timeout: 2 * OUTAGE_MS + 60_000,
  }, async () => {
    const prepared = await prepareBroker({ away: { workers: { slots: 4 } } });
    const { workerKeys, port, key } = prepared;
    const url = `http://127.0.0.1:${port}`;
    const call = (path: string, body?: string | Buffer) => callBroker(`${url}${path}`, key, { body });
    const first = await prepared.launch();
    const broker = { url, workerKeys, call, key, folder: prepared.folder, pid: 0, stop: async () => undefined };
    const worker = workers.start(broker, "away", { mode: "async", jobsAtOnce: 4 });
    const names = ["away-1", "away-2", "away-3"];
    const ids = await Promise.all(names.map((name) => submit(broker, "away", { kind: "hold", name })));
    for (const name of names) await workers.mark(name, "started");
    await first.stop();
    for (const name of names) workers.release(name);
    for (const name of names) await workers.mark(name, "ended");
    await sleep(OUTAGE_MS);
    const warned = worker.log().match(/"level":"(?:WARN|ERROR)"/g) ?? [];
    expect(warned.length).toBeLessThanOrEqual(30);
    const second = await prepared.launch();
    for (const id of ids) {
      const ended = JSON.parse((await finishJob(broker, "away", id)).toString("utf8"));
      expect(ended).toMatchObject({ status: "COMPLETED", output: "held", workerId: worker.id });
      await until("it is billed", async () => (await billOf(broker, id)).length === 1);
    }
    const next = await submit(broker, "away", { kind: "meet", count: 1 });
    await finishJob(broker, "away", next);
    await second.stop();
    prepared.discard();
  });
});

/** Whatever stands between workers and their broker. */
interface Between {
  readonly url: string;
  /** How many calls were not simply passed. */
  readonly met: () => number;
  stop(): Promise<void>;
}

/** `refused`: with 500, and the broker does not get the call. `cut`: the broker gets it, and its answer is lost. */
type Fate = "passed" | "refused" | "cut";

/** Passes calls on to a broker, but for those of another fate. `met`: how many there were of those. */
async function startBetween(target: string, fateOf: (path: string, met: number) => Fate): Promise<Between> {
  let met = 0;
  const server: Server = createServer((incoming, response) => {
    const { method = "GET", headers, url = "/" } = incoming;
    const fate = fateOf(url, met);
    if (fate !== "passed") met += 1;
    if (fate === "refused") {
      incoming.resume();
      incoming.on("end", () => response.writeHead(500).end("not now"));
      return;
    }
    const passed = request(`${target}${url}`, { method, headers }, (answer: IncomingMessage) => {
      if (fate === "cut") {
        answer.resume();
        response.destroy();
        return;
      }
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => response.destroy());
    response.on("close", () => passed.destroy());
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    met: () => met,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
