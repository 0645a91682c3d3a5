// Types made of /openapi.json by openapi-typescript, and a client that has them: the steps of the README over HTTP alone.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import createClient, { type Client } from "openapi-fetch";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import type { paths } from "../openapi/api.d.ts";
import { type DirectBroker, startDirectBroker } from "../running/direct-broker.ts";
import { type MockWorker, startMockWorker } from "../running/mock-worker.ts";

const run = promisify(execFile);
const TYPES_FOLDER = join(PROJECT_FOLDER, "test", "openapi");
const INSTALL_MAX_MS = 120_000;

let broker: DirectBroker;
let worker: MockWorker;
let client: Client<paths>;

beforeAll(async () => {
  worker = await startMockWorker(async (body) => JSON.stringify({ echo: JSON.parse(body.toString()).input }));
  broker = await startDirectBroker({}, { guests: 1, guestScopes: ["jobs", "manage"] });
  client = createClient<paths>({
    baseUrl: broker.url,
    headers: { authorization: `Bearer ${broker.guestKeys[0]}` },
  });
});

afterAll(async () => {
  await broker?.stop();
  await worker?.stop();
});

/** openapi-typescript needs an older TypeScript than the project has, so it is in a folder of its own. */
async function makeTypes(document: string): Promise<string> {
  const tool = join(TYPES_FOLDER, "node_modules", "openapi-typescript", "bin", "cli.js");
  if (!existsSync(tool)) await run("npm", ["ci"], { cwd: TYPES_FOLDER, timeout: INSTALL_MAX_MS });
  const folder = mkdtempSync(join(tmpdir(), "waybill-types-"));
  try {
    const [source, target] = [join(folder, "openapi.json"), join(folder, "api.d.ts")];
    writeFileSync(source, document);
    // Without the flag every field with a default would be compulsory in a request.
    await run(process.execPath, [tool, source, "-o", target, "--default-non-nullable=false"]);
    return readFileSync(target, "utf8");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("the types of the description", () => {
  it("are those that are kept in the repository (-u writes them)", { timeout: INSTALL_MAX_MS }, async () => {
    const types = await makeTypes(await (await fetch(`${broker.url}/openapi.json`)).text());
    await expect(types).toMatchFileSnapshot(join(TYPES_FOLDER, "api.d.ts"));
  });
});

describe("a client with these types", () => {
  it("makes an endpoint and an upstream, runs a job and reads its bill", async () => {
    const made = await client.POST("/v1/endpoints", { body: { slug: "typed" } });
    expect(made.data).toMatchObject({ slug: "typed", type: "QUEUE" });
    const endpoint = made.data?.id ?? "";
    const upstream = await client.POST("/v1/endpoints/{endpoint}/upstreams", {
      params: { path: { endpoint } },
      body: { url: worker.url, dialect: "http", tier: "a4000", slots: 2 },
    });
    expect(upstream.data).toMatchObject({ url: worker.url, applied: true });
    const sent = await client.POST("/v2/{endpoint}/runsync", {
      params: { path: { endpoint: "typed" } },
      body: { input: { n: 1 } },
    });
    expect(sent.data).toMatchObject({ status: "COMPLETED", output: { echo: { n: 1 } } });
    const id = sent.data?.id ?? "";
    await vi.waitFor(
      async () => {
        const { data } = await client.GET("/v1/usage", { params: { query: { job: id } } });
        expect(data?.lines).toMatchObject([{ jobId: id, endpointId: endpoint, tier: "a4000" }]);
      },
      { timeout: 30_000, interval: 200 },
    );
  });

  it("reads a refusal as a problem", async () => {
    const { data, error, response } = await client.GET("/v1/endpoints/{endpoint}", {
      params: { path: { endpoint: "nothing" } },
    });
    expect(data).toBeUndefined();
    expect(response.status).toBe(404);
    expect(error).toMatchObject({ code: "not_found", title: "Not Found" });
  });
});
