// RunPod's MCP server 4.0.0, unmodified, over stdio: the tools by which a language model manages endpoints, templates, the catalogue and
// bills, and runs jobs. What a tool hands to the model is compared with what the broker itself answers.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import * as z from "zod";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { type MockWorker, startMockWorker } from "../running/mock-worker.ts";

/** The part of the SDK that is used: it is no package of the project, so that its types are not there. */
interface McpClient {
  connect(transport: unknown): Promise<void>;
  callTool(call: { name: string; arguments: object }): Promise<unknown>;
  close(): Promise<void>;
}

const resultSchema = z.looseObject({
  isError: z.boolean().optional(),
  content: z.array(z.looseObject({ type: z.literal("text"), text: z.string() })),
});
const withId = z.looseObject({ id: z.string() });

const mcp = inject("mcp");
describe.skipIf("missing" in mcp)("RunPod's MCP server", () => {
  const home = mkdtempSync(join(tmpdir(), "waybill-mcp-"));
  const closers: (() => Promise<void>)[] = [];
  let broker: RunningBroker;
  let worker: MockWorker;
  let client: McpClient;

  beforeAll(async () => {
    worker = await startMockWorker(async (body) => JSON.stringify({ echo: JSON.parse(body.toString()).input }));
    broker = await startBroker({ ready: { url: worker.url, dialect: "http", slots: 2, credential: null }, nobody: {} });
    client = await connect(broker.key);
  });

  afterAll(async () => {
    for (const close of closers) await close();
    await broker?.stop();
    await worker?.stop();
    rmSync(home, { recursive: true, force: true });
  });

  async function connect(key: string): Promise<McpClient> {
    if ("missing" in mcp) throw new Error(mcp.missing);
    const packages = join(mcp.folder, "node_modules");
    const sdk = join(packages, "@modelcontextprotocol/sdk/dist/esm/client");
    const { Client } = await import(pathToFileURL(join(sdk, "index.js")).href);
    const { StdioClientTransport } = await import(pathToFileURL(join(sdk, "stdio.js")).href);
    const made: McpClient = new Client({ name: "waybill-conformance", version: "1.0.0" });
    const env = {
      PATH: process.env.PATH ?? "",
      HOME: home,
      RUNPOD_API_KEY: key,
      RUNPOD_API_BASE_URL: broker.url,
      RUNPOD_SERVERLESS_API_URL: `${broker.url}/v2`,
      RUNPOD_PUBLIC_GRAPHQL_URL: `${broker.url}/graphql`,
      RUNPOD_AUTHED_GRAPHQL_URL: `${broker.url}/graphql`,
    };
    const args = [join(packages, "@runpod/mcp-server/dist/stdio.mjs")];
    await made.connect(new StdioClientTransport({ command: process.execPath, args, env, stderr: "ignore" }));
    closers.push(() => made.close());
    return made;
  }

  /** What the model gets: the JSON in the text of the answer. */
  async function tool(name: string, args: object = {}, of: McpClient = client) {
    const { isError = false, content } = resultSchema.parse(await of.callTool({ name, arguments: args }));
    const text = content.map((part) => part.text).join("\n");
    return { isError, text, value: parse(text) };
  }

  async function value(name: string, args: object = {}): Promise<unknown> {
    const answered = await tool(name, args);
    if (answered.isError) throw new Error(`${name}: ${answered.text}`);
    return answered.value;
  }

  async function ask(path: string, body?: object): Promise<unknown> {
    return await (await broker.call(path, body === undefined ? undefined : JSON.stringify(body))).json();
  }

  it("makes, shows, changes and deletes templates and endpoints", async () => {
    const template = withId.parse(
      await value("create-template", {
        body: { name: "mcp", image: "my-org/worker:1", serverless: true, env: { MODEL: "llama" } },
      }),
    );
    expect(template).toEqual(await ask(`/v2/templates/${template.id}`));
    expect(await value("get-template", { id: template.id })).toEqual(template);
    expect(await value("update-template", { id: template.id, body: { disk: 40, public: true } })).toMatchObject({
      disk: 40,
    });
    expect(JSON.stringify(await value("list-templates"))).toContain(template.id);
    expect(JSON.stringify(await value("list-public-templates", { source: "community" }))).toContain(template.id);
    const endpoint = withId.parse(
      await value("create-endpoint", {
        body: {
          name: "by a model",
          type: "QUEUE",
          templateId: template.id,
          gpu: { pools: ["AMPERE_24"], count: 1 },
          scaling: { type: "QUEUE_DELAY", queueDelay: 4 },
          workers: { min: 0, max: 2 },
        },
      }),
    );
    expect(endpoint).toEqual(await ask(`/v2/serverless/${endpoint.id}`));
    expect(endpoint).toMatchObject({ image: "my-org/worker:1", disk: 40, env: { MODEL: "llama" } });
    expect(await value("get-endpoint", { id: endpoint.id })).toEqual(endpoint);
    expect(JSON.stringify(await value("list-endpoints", { limit: 5 }))).toContain(endpoint.id);
    const changed = await value("update-endpoint", { id: endpoint.id, body: { workers: { max: 9 } } });
    expect(changed).toMatchObject({ workers: { min: 0, max: 9 } });
    await value("set-endpoint-gpus", {
      endpointId: endpoint.id,
      pools: ["AMPERE_24"],
      excludeGpuTypeIds: ["NVIDIA L4"],
    });
    expect(await ask(`/v2/serverless/${endpoint.id}`)).toMatchObject({ gpu: { excludedTypes: ["NVIDIA L4"] } });
    expect(await value("list-endpoint-releases", { id: endpoint.id })).toMatchObject({ endpointVersion: 2 });
    const inUse = await tool("delete-template", { id: template.id });
    expect(inUse).toMatchObject({ isError: true, text: expect.stringContaining(endpoint.id) });
    await value("delete-endpoint", { id: endpoint.id });
    await value("delete-template", { id: template.id });
    const gone = await tool("get-endpoint", { id: endpoint.id });
    expect(gone).toMatchObject({ isError: true, text: expect.stringContaining("no such endpoint for this key") });
  });

  it("runs jobs, waits for them, cancels them and looks at the endpoint", async () => {
    const input = { text: "é" };
    const started = withId.parse(await value("run-endpoint", { endpointId: "ready", input }));
    const ended = await value("get-job-status", { endpointId: "ready", jobId: started.id, wait: 30_000 });
    expect(JSON.stringify(ended)).toContain("COMPLETED");
    expect(await value("runsync-endpoint", { endpointId: "ready", input, wait: 30_000 })).toMatchObject({
      status: "COMPLETED",
      output: { echo: input },
    });
    const waiting = withId.parse(await value("run-endpoint", { endpointId: "nobody", input }));
    const seen = await value("get-job-status", { endpointId: "nobody", jobId: waiting.id });
    expect(JSON.stringify(seen)).toContain("IN_QUEUE");
    expect(await value("cancel-job", { endpointId: "nobody", jobId: waiting.id })).toMatchObject({
      status: "CANCELLED",
    });
    expect(JSON.stringify(await value("stream-job", { endpointId: "nobody", jobId: waiting.id }))).toContain(
      "CANCELLED",
    );
    const again = await tool("retry-job", { endpointId: "nobody", jobId: waiting.id });
    expect(again).toMatchObject({ isError: true });
    expect(await value("endpoint-health", { endpointId: "ready" })).toMatchObject({ workers: { idle: 1 } });
    await value("run-endpoint", { endpointId: "nobody", input });
    expect(await value("purge-endpoint-queue", { endpointId: "nobody" })).toMatchObject({ removed: 1 });
  });

  it("lists workers, by the slug as well, and follows a log that says nothing", async () => {
    const workers = await value("list-endpoint-workers", { id: "ready" });
    expect(workers).toEqual(await ask("/v2/serverless/ready/workers"));
    const [one] = z.object({ workers: z.array(withId) }).parse(workers).workers;
    const log = await tool("stream-worker-logs", { endpointId: "ready", workerId: one?.id, maxWaitMs: 1_000 });
    expect(log.isError, log.text).toBe(false);
    expect(
      await tool("stream-worker-logs", { endpointId: "ready", workerId: "nobody", maxWaitMs: 1_000 }),
    ).toMatchObject({
      isError: true,
    });
  });

  it("reads the catalogue and the bill", async () => {
    expect(await value("list-gpu-types")).toEqual(await ask("/v2/catalog/gpus"));
    const stock = { include: ["AVAILABILITY"], product: ["POD", "SERVERLESS"] };
    expect(await value("get-gpu-type", { id: "NVIDIA GeForce RTX 4090", ...stock })).toMatchObject({
      pool: "ADA_24",
      availability: "HIGH",
    });
    expect(await value("list-cpu-types")).toEqual(await ask("/v2/catalog/cpus"));
    expect(await value("get-cpu-type", { id: "cpu3c" })).toMatchObject({ id: "cpu3c" });
    expect(await value("list-data-centers", { include: ["GPU_AVAILABILITY"] })).toMatchObject({
      dataCenters: [{ id: "OWN" }],
    });
    expect(await value("get-data-center", { id: "OWN" })).toMatchObject({ id: "OWN" });
    await value("runsync-endpoint", { endpointId: "ready", input: {}, wait: 30_000 });
    await expect
      .poll(async () => JSON.stringify(await value("list-serverless-billing", { lastN: 1, bucketSize: "day" })), {
        timeout: 20_000,
        interval: 1_000,
      })
      .toContain('"uniqueServerlessCount":1');
    expect(await value("list-billing", { lastN: 1 })).toMatchObject({ metadata: { recordCount: 1 } });
    for (const name of [
      "list-pod-billing",
      "list-endpoint-billing",
      "list-network-volume-billing",
      "list-cluster-billing",
    ]) {
      expect(await value(name), name).toMatchObject({ records: [] });
    }
  });

  it("tells the model what was wrong, and where it is", async () => {
    const wrong = await tool("create-endpoint", { body: { name: "x", type: "QUEUE", bogus: 1 } });
    expect(wrong).toMatchObject({
      isError: true,
      text: expect.stringContaining("additional properties 'bogus' not allowed"),
    });
    const builds = await tool("list-endpoint-builds", { id: "ready" });
    expect(builds).toMatchObject({ isError: true, text: expect.stringContaining("This is a Waybill deployment") });
    const stranger = await connect("wrong");
    const refused = await tool("list-endpoints", {}, stranger);
    expect(refused).toMatchObject({ isError: true, text: expect.stringContaining("its operator makes keys") });
  });
});

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
