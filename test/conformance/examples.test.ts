// The Python examples as their readers run them: installed from their requirements, pulling from a broker.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { callBroker, finishJob, type RunningBroker, startBroker } from "../running/broker.ts";
import { describePython, PythonWorkers } from "./python-worker.ts";
import { submit } from "./worker-processes.ts";

const EXAMPLES = join(PROJECT_FOLDER, "examples");

describePython("the Python examples", (interpreters) => {
  let broker: RunningBroker;
  const workers = new PythonWorkers(interpreters);

  beforeAll(async () => {
    broker = await startBroker({ "example-ocr": { workers: {} }, "example-words": { workers: {} } });
    const version = "examples";
    workers.start(broker, "example-ocr", { version, script: join(EXAMPLES, "python-ocr", "handler.py") });
    workers.start(broker, "example-words", { version, script: join(EXAMPLES, "python-stream", "handler.py") });
  });

  afterAll(async () => {
    await broker?.stop();
  });

  async function finish(slug: string, id: string): Promise<unknown> {
    return JSON.parse((await finishJob(broker, slug, id)).toString());
  }

  it("read the text of a picture with a model that their wheel brought", async () => {
    const image = readFileSync(join(EXAMPLES, "ocr-worker", "picture.png")).toString("base64");
    const read = await finish("example-ocr", await submit(broker, "example-ocr", { image }));
    expect(read).toMatchObject({ status: "COMPLETED", output: { text: expect.stringContaining("WAYBILL 2026") } });
    const refused = await finish("example-ocr", await submit(broker, "example-ocr", { image: "no picture" }));
    expect(refused).toMatchObject({ status: "FAILED", error: "input.image is not valid base64" });
  });

  it("stream a chunk a word, and the list of them is the output", async () => {
    const id = await submit(broker, "example-words", { text: "to be or not to be", pause_ms: 20 });
    const url = `${broker.url}/v2/example-words/stream/${id}`;
    const events = await callBroker(url, broker.key, { headers: { Accept: "text/event-stream" } });
    const chunks = [...(await events.text()).matchAll(/^data: (\{"output".*)$/gm)].map(([, data = ""]) =>
      JSON.parse(data),
    );
    const counted = [
      { word: "to", count: 1 },
      { word: "be", count: 1 },
      { word: "or", count: 1 },
      { word: "not", count: 1 },
      { word: "to", count: 2 },
      { word: "be", count: 2 },
    ];
    expect(chunks).toEqual(counted.map((output) => ({ output })));
    expect(await finish("example-words", id)).toMatchObject({ status: "COMPLETED", output: counted });
  });
});
