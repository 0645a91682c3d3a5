// What RunPod's own workers, unmodified, make of their handlers' results, and what a client then reads.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { finishJob, type RunningBroker, startBroker, type TestEndpoints } from "../running/broker.ts";
import { VERSIONS, type Version } from "./python.ts";
import { describePython, PythonWorkers } from "./python-worker.ts";
import { statusOf, submit, until } from "./worker-processes.ts";

const CHUNKS = ["t1", { text: "t2" }, 3];

/** What the handler of each mode is given, and all that /status says then beside times, `id` and `workerId`. */
const CASES = [
  {
    title: "a value comes back as it is",
    mode: "plain",
    input: { kind: "value" },
    status: { status: "COMPLETED", output: { echo: { kind: "value" }, é: [1, null, "ü"] } },
  },
  {
    title: "None is a null output",
    mode: "plain",
    input: { kind: "none" },
    status: { status: "COMPLETED", output: null },
  },
  {
    title: "True is an output like any other",
    mode: "plain",
    input: { kind: "true" },
    status: { status: "COMPLETED", output: true },
  },
  { title: "an empty dict is no output", mode: "plain", input: { kind: "empty" }, status: { status: "COMPLETED" } },
  {
    title: "a dict with error fails the job, and its other keys are the output",
    mode: "plain",
    input: { kind: "error" },
    status: { status: "FAILED", error: "soft failure", output: { extra: 1 } },
  },
  {
    title: "a dict with error alone fails the job without an output",
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
    title: "NaN and the infinities, which are no JSON, become null",
    mode: "plain",
    input: { kind: "nan" },
    status: { status: "COMPLETED", output: { x: null, list: [1, null, null] } },
  },
  {
    title: "a result that the worker cannot write as JSON is never sent: both attempts are lost",
    mode: "plain",
    input: { kind: "unserialisable" },
    status: { status: "FAILED", error: "job timed out after 1 retries", retries: 1 },
  },
  {
    title: "refresh_worker in the returned dict is no part of the output",
    mode: "plain",
    input: { kind: "refresh" },
    status: { status: "COMPLETED", output: { x: 1 } },
  },
  {
    title: "a generator with return_aggregate_stream gives the list of its chunks",
    mode: "list",
    input: {},
    status: { status: "COMPLETED", output: CHUNKS },
  },
  {
    title: "a generator that raises fails the job with the text of the exception",
    mode: "list",
    input: { kind: "raise" },
    status: { status: "FAILED", error: expect.stringMatching(/^handler: broke off \ntraceback: /) },
  },
  {
    title: "an async generator without it gives the list all the same",
    mode: "chunks",
    input: {},
    status: { status: "COMPLETED", output: CHUNKS },
  },
] as const;

const streamSchema = z.object({ status: z.string(), stream: z.array(z.object({ output: z.unknown() })) });
const MODES = ["plain", "list", "chunks"] as const;

describePython("RunPod's Python worker", (interpreters) => {
  const workers = new PythonWorkers(interpreters);
  const ids = new Map<string, string>();
  let broker: RunningBroker;

  beforeAll(async () => {
    const endpoints: TestEndpoints = Object.fromEntries(
      VERSIONS.flatMap((version) => MODES.map((mode) => [slugOf(version, mode), { workers: {} }])),
    );
    broker = await startBroker(endpoints);
    for (const version of VERSIONS) {
      for (const mode of MODES) {
        workers.start(broker, slugOf(version, mode), { version, mode });
      }
      // All at once, so that the versions work side by side; each test below reads one.
      for (const { title, mode, input } of CASES) {
        ids.set(`${version} ${title}`, await submit(broker, slugOf(version, mode), input));
      }
    }
  });

  afterAll(() => broker?.stop());

  function idOf(version: Version, title: string): string {
    const id = ids.get(`${version} ${title}`);
    if (id === undefined) throw new Error(`no job was submitted for ${title}`);
    return id;
  }

  async function finish(version: Version, mode: string, title: string) {
    const answer = await finishJob(broker, slugOf(version, mode), idOf(version, title));
    return z.looseObject({ status: z.string() }).parse(JSON.parse(answer.toString("utf8")));
  }

  describe.each(VERSIONS)("runpod %s", (version) => {
    it.each(CASES)("$title", async ({ title, mode, status }) => {
      const { id, workerId, delayTime, executionTime, ...rest } = await finish(version, mode, title);
      expect(rest).toEqual(status);
      expect({ id, workerId, delayTime, executionTime }).toEqual({
        id: idOf(version, title),
        workerId: expect.stringContaining(slugOf(version, mode)),
        delayTime: expect.any(Number),
        executionTime: expect.any(Number),
      });
    });

    it("says in an exception's error what was raised, and where", async () => {
      const { error } = await finish(version, "plain", "an exception fails the job with JSON text");
      expect(JSON.parse(String(error))).toMatchObject({
        error_type: "<class 'ValueError'>",
        error_message: "boom é",
        error_traceback: expect.stringContaining("worker.py"),
        worker_id: expect.stringContaining(slugOf(version, "plain")),
      });
    });

    it.each([
      ["list", "a generator with return_aggregate_stream gives the list of its chunks"],
      ["chunks", "an async generator without it gives the list all the same"],
    ] as const)("lets a client drain what the handler of mode %s has yielded", async (mode, title) => {
      await finish(version, mode, title);
      const path = `/v2/${slugOf(version, mode)}/stream/${idOf(version, title)}`;
      const drain = async () => streamSchema.parse(await (await broker.call(path)).json());
      expect(await drain()).toEqual({ status: "COMPLETED", stream: CHUNKS.map((output) => ({ output })) });
      expect(await drain()).toEqual({ status: "COMPLETED", stream: [] });
    });

    it("shows a handler's progress while it runs", async () => {
      const slug = slugOf(version, "plain");
      const name = `progress-${version}`;
      const id = await submit(broker, slug, { kind: "progress", name });
      const shown = await until("the progress is shown", async () => {
        const status = await statusOf(broker, slug, id);
        return status.output !== undefined && status;
      });
      expect(shown).toMatchObject({ status: "IN_PROGRESS", output: { percent: 50 } });
      workers.release(name);
      const ended = JSON.parse((await finishJob(broker, slug, id)).toString("utf8"));
      expect(ended).toMatchObject({ status: "COMPLETED", output: "done" });
    });
  });
});

function slugOf(version: Version, mode: string): string {
  return `${version.replaceAll(".", "-")}-${mode}`;
}
