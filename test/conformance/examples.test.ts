// The examples as their readers run them, for a running broker: those in Python installed from their requirements, those in TypeScript
// from their folders.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { callBroker, finishJob, type RunningBroker, startBroker } from "../running/broker.ts";
import { takePort } from "../running/port.ts";
import { describePython, PythonWorkers } from "./python-worker.ts";
import { submit, until, WorkerProcesses } from "./worker-processes.ts";

const EXAMPLES = join(PROJECT_FOLDER, "examples");
let broker: RunningBroker;
let port: number;

beforeAll(async () => {
  port = await takePort();
  const upstream = { url: `http://127.0.0.1:${port}`, dialect: "http", slots: 4, credential: null } as const;
  broker = await startBroker({
    "example-ocr": { workers: {} },
    "example-words": { workers: {} },
    "example-text": { workers: {} },
    "example-embeddings": { kind: "load_balancer", upstream },
  });
});

afterAll(async () => {
  await broker?.stop();
});

async function finish(slug: string, id: string): Promise<unknown> {
  return JSON.parse((await finishJob(broker, slug, id)).toString());
}

/** The events of a job, as they come. */
async function follow(slug: string, id: string, signal?: AbortSignal): Promise<Response> {
  const url = `${broker.url}/v2/${slug}/stream/${id}`;
  return callBroker(url, broker.key, { headers: { Accept: "text/event-stream" }, ...(signal && { signal }) });
}

async function chunksOf(slug: string, id: string): Promise<unknown[]> {
  const events = await (await follow(slug, id)).text();
  return [...events.matchAll(/^data: (\{"output".*)$/gm)].map(([, data = ""]) => JSON.parse(data).output);
}

describePython("the Python examples", (interpreters) => {
  const workers = new PythonWorkers(interpreters);

  beforeAll(() => {
    const version = "examples";
    workers.start(broker, "example-ocr", { version, script: join(EXAMPLES, "python-ocr", "handler.py") });
    workers.start(broker, "example-words", { version, script: join(EXAMPLES, "python-stream", "handler.py") });
  });

  it("read the text of a picture with a model that their wheel brought", async () => {
    const image = readFileSync(join(EXAMPLES, "ocr-worker", "picture.png")).toString("base64");
    const read = await finish("example-ocr", await submit(broker, "example-ocr", { image }));
    expect(read).toMatchObject({ status: "COMPLETED", output: { text: expect.stringContaining("WAYBILL 2026") } });
    const refused = await finish("example-ocr", await submit(broker, "example-ocr", { image: "no picture" }));
    expect(refused).toMatchObject({ status: "FAILED", error: "input.image is not valid base64" });
  });

  it("stream a chunk a word, and the list of them is the output", async () => {
    const id = await submit(broker, "example-words", { text: "to be or not to be", pause_ms: 20 });
    const counted = [
      { word: "to", count: 1 },
      { word: "be", count: 1 },
      { word: "or", count: 1 },
      { word: "not", count: 1 },
      { word: "to", count: 2 },
      { word: "be", count: 2 },
    ];
    expect(await chunksOf("example-words", id)).toEqual(counted);
    expect(await finish("example-words", id)).toMatchObject({ status: "COMPLETED", output: counted });
  });
});

describe("the examples in TypeScript", () => {
  const workers = new WorkerProcesses();
  const command = process.execPath;

  it("stream a token at a time, and stop in the middle of a job that is cancelled", async () => {
    const worker = workers.launch(broker, "example-text", { command, args: [join(EXAMPLES, "text-stream/worker.ts")] });
    const wanted = { prompt: "The captain", max_tokens: 5, seed: 7 };
    const id = await submit(broker, "example-text", wanted);
    const tokens = [" stood", " in", " a", " waybill", " knows"];
    expect(await chunksOf("example-text", id)).toEqual(tokens);
    expect(await finish("example-text", id)).toMatchObject({ status: "COMPLETED", output: tokens });

    const long = await submit(broker, "example-text", { ...wanted, max_tokens: 4_096 });
    const reading = new AbortController();
    const events = (await follow("example-text", long, reading.signal)).body?.getReader();
    await events?.read();
    reading.abort();
    expect((await broker.call(`/v2/example-text/cancel/${long}`, "{}")).status).toBe(200);
    await until("the worker has stopped it", () => worker.log().includes("stopped: its result is dropped"));
    expect(await finish("example-text", long)).toMatchObject({ status: "CANCELLED" });
    const next = await submit(broker, "example-text", wanted);
    expect(await finish("example-text", next)).toMatchObject({ status: "COMPLETED", output: tokens });
  });

  it("serve embeddings behind the load balancer, which waits until the model is loaded", async () => {
    const client = new OpenAI({ baseURL: `${broker.url}/lb/example-embeddings/v1`, apiKey: broker.key, maxRetries: 0 });
    const early = client.embeddings.create({ model: "any", input: ["early"] });
    workers.run("server", {
      command,
      args: [join(EXAMPLES, "embeddings/server.ts")],
      variables: { PORT: String(port) },
    });
    expect((await early).data[0]?.embedding).toHaveLength(512);
    expect((await fetch(`http://127.0.0.1:${port}/ping`)).status).toBe(200);
    await expect(client.embeddings.create({ model: "any", input: [] })).rejects.toMatchObject({ status: 400 });
  });
});
