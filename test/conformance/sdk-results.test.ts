// What our own workers make of their handlers' results, and what a client then reads: the twins of python-results.test.ts.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { finishJob, type RunningBroker, startBroker } from "../running/broker.ts";
import { SdkWorkers } from "./sdk-workers.ts";
import { statusOf, submit, until } from "./worker-processes.ts";

const CHUNKS = ["t1", { text: "t2" }, 3];
const MODES = ["plain", "list", "chunks", "rules"] as const;

/** What the handler of each mode is given, and all that /status says then beside times, `id` and `workerId`. */
const CASES = [
  {
    title: "a value comes back as it is",
    mode: "plain",
    input: { kind: "value" },
    status: { status: "COMPLETED", output: { echo: { kind: "value" }, é: [1, null, "ü"] } },
  },
  {
    title: "undefined is a null output",
    mode: "plain",
    input: { kind: "none" },
    status: { status: "COMPLETED", output: null },
  },
  {
    title: "true is an output like any other",
    mode: "plain",
    input: { kind: "true" },
    status: { status: "COMPLETED", output: true },
  },
  { title: "an empty object is no output", mode: "plain", input: { kind: "empty" }, status: { status: "COMPLETED" } },
  {
    title: "an object with error fails the job, and its other members are the output",
    mode: "plain",
    input: { kind: "error" },
    status: { status: "FAILED", error: "soft failure", output: { extra: 1 } },
  },
  {
    title: "an object with error alone fails the job without an output",
    mode: "plain",
    input: { kind: "error alone" },
    status: { status: "FAILED", error: "soft failure" },
  },
  {
    title: "an exception fails the job with JSON text",
    mode: "plain",
    input: { kind: "raise" },
    status: { status: "FAILED", error: expect.stringContaining("error_type") },
  },
  {
    title: "NaN fails the job at once and is named by its path",
    mode: "plain",
    input: { kind: "nan" },
    status: { status: "FAILED", error: "output.list[1] is NaN, which JSON does not have: null may stand for it" },
  },
  {
    title: "so does a BigInt",
    mode: "plain",
    input: { kind: "bigint" },
    status: { status: "FAILED", error: expect.stringMatching(/^output\.items\[0\]\.size is a BigInt/) },
  },
  {
    title: "so does an object that is a part of itself",
    mode: "plain",
    input: { kind: "circle" },
    status: { status: "FAILED", error: "output.next.circle is an object that it is itself a part of" },
  },
  {
    title: "so does a function",
    mode: "plain",
    input: { kind: "function" },
    status: { status: "FAILED", error: "output.run is a function, which JSON does not have" },
  },
  {
    title: "dates, bytes and lists of numbers have their documented forms",
    mode: "plain",
    input: { kind: "forms" },
    status: { status: "COMPLETED", output: { at: "1970-01-01T00:00:00.000Z", bytes: "AQL/", numbers: [0.5, 2] } },
  },
  {
    title: "refresh_worker in the returned object is no part of the output",
    mode: "plain",
    input: { kind: "refresh" },
    status: { status: "COMPLETED", output: { x: 1 } },
  },
  {
    title: "a generator with returnAggregateStream gives the list of its chunks",
    mode: "list",
    input: {},
    status: { status: "COMPLETED", output: CHUNKS },
  },
  {
    title: "a generator that throws fails the job with the text of the exception",
    mode: "list",
    input: { kind: "raise" },
    status: { status: "FAILED", error: expect.stringContaining("broke off") },
  },
  {
    title: "a generator that yields an error fails the job with it",
    mode: "list",
    input: { kind: "error" },
    status: { status: "FAILED", error: "no more" },
  },
  {
    title: "a chunk that is no JSON fails the job and is named by its path",
    mode: "list",
    input: { kind: "nan" },
    status: { status: "FAILED", error: expect.stringMatching(/^chunk\[3\]\.x is NaN/) },
  },
  {
    title: "an async generator without it gives the list all the same",
    mode: "chunks",
    input: {},
    status: { status: "COMPLETED", output: CHUNKS },
  },
  {
    title: "an input that a rule's own function refuses fails the job and names the path",
    mode: "rules",
    input: { name: "a", steps: 9 },
    status: { status: "FAILED", error: "input.steps: does not meet the constraints" },
  },
  {
    title: "one that fits gets its defaults",
    mode: "rules",
    input: { name: "a" },
    status: { status: "COMPLETED", output: { name: "a", steps: 4 } },
  },
] as const;

const streamSchema = z.object({ status: z.string(), stream: z.array(z.object({ output: z.unknown() })) });
const errorSchema = z.object({
  error_type: z.string(),
  error_message: z.string(),
  error_traceback: z.string(),
  hostname: z.string(),
  worker_id: z.string(),
});

/** What runs the jobs of the modes, each by the path `/v2/MODE`. */
interface Place extends Pick<RunningBroker, "call"> {
  stop(): Promise<void>;
}

async function startWorkersOfBroker(workers: SdkWorkers): Promise<Place> {
  const broker = await startBroker(Object.fromEntries(MODES.map((mode) => [mode, { workers: {} }])));
  for (const mode of MODES) workers.start(broker, mode, { mode });
  return broker;
}

async function startLocalEndpoints(workers: SdkWorkers): Promise<Place> {
  const served = new Map(await Promise.all(MODES.map(async (mode) => [mode, await workers.serve({ mode })] as const)));
  return {
    call: (path, body) => {
      const local = [...served].find(([mode]) => path.startsWith(`/v2/${mode}/`))?.[1];
      if (local === undefined) throw new Error(`nothing serves ${path}`);
      return local.call(path, body);
    },
    stop: async () => {
      for (const { worker } of served.values()) worker.signal("SIGTERM");
    },
  };
}

const PLACES = [
  { place: "a running broker", startAll: startWorkersOfBroker, schema: "in the worker alone" },
  { place: "its local endpoint", startAll: startLocalEndpoints, schema: "before there is a job" },
] as const;

describe.each(PLACES)("our own worker and $place", ({ startAll, schema }) => {
  const workers = new SdkWorkers();
  const ids = new Map<string, string>();
  let broker: Place;

  beforeAll(async () => {
    broker = await startAll(workers);
    for (const { title, mode, input } of CASES) ids.set(title, await submit(broker, mode, input));
  });

  afterAll(() => broker?.stop());

  async function finish(mode: string, id: string) {
    const answer = await finishJob(broker, mode, id);
    return z.looseObject({ status: z.string() }).parse(JSON.parse(answer.toString("utf8")));
  }

  it.each(CASES)("$title", async ({ title, mode, status }) => {
    const { id, workerId, delayTime, executionTime, ...rest } = await finish(mode, ids.get(title) ?? "");
    expect(rest).toEqual(status);
    expect({ id, workerId, delayTime, executionTime }).toEqual({
      id: ids.get(title),
      workerId: expect.stringContaining(mode),
      delayTime: expect.any(Number),
      executionTime: expect.any(Number),
    });
  });

  it.each([
    ["true is an output like any other", ["delayTime", "executionTime", "id", "output", "status", "workerId"]],
    ["an exception fails the job with JSON text", ["delayTime", "error", "executionTime", "id", "status", "workerId"]],
  ])("has its fields in RunPod's order: %s", async (title, fields) => {
    const status: object = JSON.parse((await finishJob(broker, "plain", ids.get(title) ?? "")).toString("utf8"));
    expect(Object.keys(status)).toEqual(fields);
  });

  it(`checks an input by the worker's rules ${schema}, and names the path`, async () => {
    const response = await broker.call("/v2/rules/run", JSON.stringify({ input: { name: 1, extra: true } }));
    const answer = z.looseObject({ id: z.string().default("") }).parse(await response.json());
    if (schema === "before there is a job") {
      expect(response.status).toBe(400);
      const message = "input/name: must be a string; input/extra: is no property that is known here";
      expect(answer).toMatchObject({ message, field: "input/name" });
      return;
    }
    expect(await finish("rules", answer.id)).toMatchObject({
      status: "FAILED",
      error: "input.extra: is not a valid input; input.name: must be a string",
    });
  });

  it("says in an exception's error what was thrown, and where", async () => {
    const { error } = await finish("plain", await submit(broker, "plain", { kind: "raise" }));
    const told = errorSchema.parse(JSON.parse(z.string().parse(error)));
    expect(told).toMatchObject({ error_type: "TypeError", error_message: "boom é" });
    expect(told.error_traceback).toContain("sdk-worker.ts");
    expect(told.worker_id).toContain("plain");
  });

  it.each(["list", "chunks"] as const)("streams what its generator yields, one by one (%s)", async (mode) => {
    const id = await submit(broker, mode, {});
    const seen: unknown[] = [];
    await until("the stream is over", async () => {
      const answer = streamSchema.parse(await (await broker.call(`/v2/${mode}/stream/${id}`)).json());
      seen.push(...answer.stream.map(({ output }) => output));
      return answer.status === "COMPLETED" && answer.stream.length === 0;
    });
    expect(seen).toEqual(CHUNKS);
  });

  it("shows a handler's progress while it runs", async () => {
    const name = "progress";
    const id = await submit(broker, "plain", { kind: "progress", name });
    await until("the progress is shown", async () => {
      const { status, output } = await statusOf(broker, "plain", id);
      return status === "IN_PROGRESS" && JSON.stringify(output) === '{"percent":50}';
    });
    workers.release(name);
    expect(await finish("plain", id)).toMatchObject({ status: "COMPLETED", output: "done" });
  });
});
