// RunPod's JavaScript client and npm `openai`, unmodified, against the endpoint that a worker of our own serves by itself, and how such a
// worker ends.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import runpodSdk from "runpod-sdk";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { callBroker } from "../running/broker.ts";
import { answersText, hearsOfLeaving, type Place, tellsErrors } from "./openai-cases.ts";
import { type LocalWorker, SdkWorkers } from "./sdk-workers.ts";
import { submit, until, type WorkerProgram } from "./worker-processes.ts";

const LEAVE_HEARD_MAX_MS = 1_000;
/** From the signal to the end of a worker without jobs. */
const ENDS_WITHIN_MS = 1_000;

describe("the runpod-sdk client and a local endpoint", () => {
  const workers = new SdkWorkers();
  let plain: LocalWorker;
  let holding: LocalWorker;
  let chunks: LocalWorker;

  beforeAll(async () => {
    [plain, holding, chunks] = await Promise.all([
      workers.serve({ mode: "plain" }),
      workers.serve({ mode: "async" }),
      workers.serve({ mode: "chunks" }),
    ]);
  });

  function endpoint({ url }: LocalWorker) {
    const found = runpodSdk("no key is needed", { baseUrl: `${url}/v2` }).endpoint("any-name");
    if (found === null) throw new Error("the client refused the endpoint id");
    return found;
  }

  async function untilStatus(local: LocalWorker, id: string, status: string) {
    return await until(`the job is ${status}`, async () => {
      const job = await endpoint(local).status(id);
      return job.status === status && job;
    });
  }

  it("runs a job and reads its result by status", async () => {
    const submitted = await endpoint(plain).run({ input: { kind: "true" } });
    expect(submitted).toMatchObject({ status: "IN_QUEUE", id: expect.stringMatching(/^[0-9a-f-]{36}-u1$/) });
    expect(await untilStatus(plain, submitted.id, "COMPLETED")).toMatchObject({
      completed: true,
      succeeded: true,
      output: true,
      delayTime: expect.any(Number),
      executionTime: expect.any(Number),
    });
  });

  it("waits for a result with runSync and statusSync", async () => {
    expect(await endpoint(plain).runSync({ input: { kind: "true" } })).toMatchObject({
      id: expect.stringMatching(/^sync-[0-9a-f-]{36}-u1$/),
      status: "COMPLETED",
      output: true,
    });
    const { id } = await endpoint(chunks).run({ input: {} });
    expect(await endpoint(chunks).statusSync(id, 20_000)).toMatchObject({ status: "COMPLETED" });
  });

  it("cancels a running job, whose handler hears of it", async () => {
    const { id } = await endpoint(holding).run({ input: { kind: "hold", name: "cancel" } });
    await workers.mark("cancel", "started");
    expect(await endpoint(holding).cancel(id)).toMatchObject({ id, status: "CANCELLED" });
    await workers.mark("cancel", "cancelled");
    expect(await endpoint(holding).status(id)).toMatchObject({ status: "CANCELLED", completed: true });
  });

  it("purges the waiting jobs and counts them in health", async () => {
    const running = await endpoint(holding).run({ input: { kind: "hold", name: "purge" } });
    await workers.mark("purge", "started");
    const waiting = await Promise.all([1, 2, 3].map(() => endpoint(holding).run({ input: { kind: "at once" } })));
    expect((await endpoint(holding).health()).jobs).toMatchObject({ inProgress: 1, inQueue: 3 });
    expect(await endpoint(holding).purgeQueue()).toEqual({ removed: 3, status: "completed" });
    for (const { id } of waiting) expect(await endpoint(holding).status(id)).toMatchObject({ status: "CANCELLED" });
    workers.release("purge");
    expect(await endpoint(holding).statusSync(running.id, 20_000)).toMatchObject({ output: "held" });
  });

  it("streams what a handler yields, to the end of the job", async () => {
    const { id } = await endpoint(chunks).run({ input: {} });
    const seen: unknown[] = [];
    for await (const chunk of endpoint(chunks).stream(id)) seen.push(chunk);
    expect(seen).toEqual([{ output: "t1" }, { output: { text: "t2" } }, { output: 3 }]);
    expect(await endpoint(chunks).status(id)).toMatchObject({ output: ["t1", { text: "t2" }, 3] });
  });
});

describe("npm openai and a local endpoint", () => {
  const workers = new SdkWorkers();
  const place = (): Place => ({ baseURL: `${local.url}/openai/v1`, apiKey: "any" });
  let local: LocalWorker;

  beforeAll(async () => {
    local = await workers.serve({ script: `${import.meta.dirname}/sdk-openai-worker.ts` });
  });

  answersText(place);
  tellsErrors(place);
  hearsOfLeaving(place, async () => (await workers.mark("endless", "cancelled")).atMs, LEAVE_HEARD_MAX_MS);
});

describe("a worker without a broker", () => {
  const workers = new SdkWorkers();

  function start(args: readonly string[], program: Partial<WorkerProgram> = {}) {
    const script = ["--no-warnings", `${import.meta.dirname}/sdk-worker.ts`, "list", "1"];
    return workers.run("once", { command: process.execPath, args: [...script, ...args], ...program });
  }

  const run = (input: object) => start(["--test_input", JSON.stringify({ input })]);

  it("names the address that MODE=serverless needs, and ends with 1", async () => {
    const worker = start([], { variables: { MODE: "serverless" } });
    expect(await until("it has ended", () => worker.exitCode() ?? undefined)).toBe(1);
    expect(worker.log()).toMatch(/^ERROR \| RUNPOD_WEBHOOK_GET_JOB is not set: .*\n$/);
  });

  it("runs the job in test_input.json of its folder", async () => {
    const cwd = mkdtempSync(join(tmpdir(), "waybill-test-input-"));
    onTestFinished(() => rmSync(cwd, { recursive: true }));
    writeFileSync(join(cwd, "test_input.json"), '{"input":{}}');
    const worker = start([], { cwd });
    expect(await until("it has ended", () => worker.exitCode() ?? undefined)).toBe(0);
    expect(worker.log()).toContain('{"output":["t1",{"text":"t2"},3]}');
  });

  it("serves an endpoint where nothing else is said, and logs as much as it is told to", async () => {
    const worker = start(["--rp_api_port", "0", "--rp_log_level", "DEBUG"]);
    const url = await until("it serves", () => /url=(http:\/\/localhost:\d+)/.exec(worker.log())?.[1]);
    const id = await submit({ call: (path, body) => callBroker(`${url}${path}`, "any", { body }) }, "ep", {});
    await until("the job is logged", () => worker.log().includes(`DEBUG | ${id} | started`));
  });

  it("prints each chunk and the result, and ends with 0", async () => {
    const worker = run({});
    expect(await until("it has ended", () => worker.exitCode() ?? undefined)).toBe(0);
    const lines = ['{"output":"t1"}', '{"output":{"text":"t2"}}', '{"output":3}', '{"output":["t1",{"text":"t2"},3]}'];
    expect(worker.log()).toBe(`${lines.join("\n")}\n`);
  });

  it("ends with 1 where the job fails", async () => {
    const worker = run({ kind: "error" });
    expect(await until("it has ended", () => worker.exitCode() ?? undefined)).toBe(1);
    expect(worker.log().trimEnd().split("\n").at(-1)).toBe('{"error":"no more"}');
  });
});

describe("a worker that serves a local endpoint", () => {
  const workers = new SdkWorkers();

  it(`ends within ${ENDS_WITHIN_MS} ms of SIGTERM when it has no job, though a client keeps its connection`, async () => {
    const { worker, call } = await workers.serve({ mode: "plain" });
    expect((await call("/health")).status).toBe(200);
    const sentAtMs = performance.now();
    worker.signal("SIGTERM");
    await until("the worker has ended", () => worker.exitCode() !== undefined);
    expect(performance.now() - sentAtMs).toBeLessThan(ENDS_WITHIN_MS);
    expect(worker.exitCode()).toBe(0);
  });

  it("ends its running job first, and answers who waits for it", async () => {
    const { worker, call } = await workers.serve({ mode: "async" });
    const answer = call("/runsync", JSON.stringify({ input: { kind: "hold", name: "last" } }));
    await workers.mark("last", "started");
    worker.signal("SIGTERM");
    await until("the signal is heard", () => worker.log().includes("ends when its jobs are done"));
    workers.release("last");
    expect(await (await answer).json()).toMatchObject({ status: "COMPLETED", output: "held" });
    await until("the worker has ended", () => worker.exitCode() === 0);
  });
});
