// A deployment moves to another account in the order of docs/deploy.md, with its commands as they stand there: the old one is a broker with
// jobs that run and wait, the new one a broker behind a fake of wrangler. Nothing is lost, and nothing is billed twice.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { applyMigrations } from "../../src/cli/dev-database.ts";
import { ensureDevSecrets } from "../../src/cli/dev-secrets.ts";
import { type DevServer, launchDevServer } from "../../src/cli/dev-server.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { waitFor } from "../../src/cli/wait-for.ts";
import { callBroker } from "../running/broker.ts";
import { type MockWorker, startMockWorker } from "../running/mock-worker.ts";
import { takePort } from "../running/port.ts";
import { type DeployProject, startDeployProject } from "./deploy-project.ts";
import { changesIn, shareDatabase } from "./deployed.ts";
import { DocumentedBlocks, MOVE_SECTION } from "./documented-blocks.ts";
import { type Operator, startOperator } from "./operator.ts";

/** An isolate of the edge believes for 30 s what it has read of a key. Each try may be a job. */
const LATE = { timeout: 40_000, interval: 1_000 };
/** 60,000 characters of three bytes each, and some that SQL or a cut could break. */
const LONG = `it's\n"so"; 😀${"漢".repeat(59_000)}${"😀'".repeat(300)}`;

let worker: MockWorker;
let operator: Operator;
let project: DeployProject;
let next: DevServer | undefined;
/** The state of the new broker. */
let folder: string;
let providerId: string;
let guest: { readonly id: string; readonly key: string };
/** Lets the old upstream answer. */
let release: () => void = () => {};
/** Jobs that the receiver was told of. */
const told: string[] = [];
/** Jobs that the old one took in the seconds in which its edge did not know yet that it should take none. */
const late: string[] = [];
/** By what they were when the move began. */
let jobs: { readonly done: string; readonly running: string; readonly waiting: string };

const documented = new DocumentedBlocks(() => project, "docs/deploy.md");
const secrets = () => {
  const found = ensureDevSecrets(PROJECT_FOLDER);
  return { WAYBILL_PEPPER: found.get("PEPPER") ?? "", WAYBILL_ENCRYPTION_KEY: found.get("ENCRYPTION_KEY") ?? "" };
};
const onOld = () => ({ WAYBILL_URL: operator.broker.url, WAYBILL_KEY: operator.broker.key });
const onNew = () => ({ ...onOld(), WAYBILL_URL: next?.url ?? "" });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "waybill-move-"));
  let gate: Promise<void> = Promise.resolve();
  worker = await startMockWorker(async (body) => {
    const { id, input, status } = JSON.parse(body.toString());
    if (status !== undefined) told.push(id);
    if (input === "held") await gate;
    return JSON.stringify({ echo: input });
  });
  operator = await startOperator({});
  const { id } = await operator.json("tenant create --name guest");
  guest = { id, key: (await operator.json(`key create --tenant ${id} --scopes jobs,manage`)).key };
  const offers = [{ gpuTypeId: "NVIDIA L4", pricePerHour: "0.43" }];
  const provider = await ask("POST", "/v1/providers", { name: "p", kind: "none", offers });
  providerId = provider.id;
  await ask("POST", "/v1/endpoints", { slug: "mine", env: { LONG }, providers: [providerId] });
  await ask("POST", "/v1/endpoints/mine/upstreams", { url: worker.url, dialect: "http", tier: "l4", slots: 1 });
  const done = await submit("at once");
  await vi.waitFor(async () => expect(await lines(operator.broker.url)).toHaveLength(1), 20_000);
  gate = new Promise((resolve) => {
    release = resolve;
  });
  jobs = { done, running: await submit("held"), waiting: await submit("held") };

  project = await startDeployProject();
  await applyMigrations(folder);
}, 180_000);

afterAll(async () => {
  release();
  await next?.stop();
  await operator?.stop();
  await worker?.stop();
  project?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The guest's calls; `base` is the old broker, unless another one is given. */
async function ask(method: string, path: string, body?: object, base = operator.broker.url): Promise<{ id: string }> {
  const headers = { authorization: `Bearer ${guest.key}`, "content-type": "application/json" };
  const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  const response = await fetch(`${base}${path}`, init);
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return JSON.parse(await response.text());
}

async function submit(input: string): Promise<string> {
  return (await ask("POST", "/v2/mine/run", { input, webhook: worker.url })).id;
}

async function lines(base: string): Promise<{ jobId: string }[]> {
  return JSON.parse(await (await callBroker(`${base}/v1/usage`, guest.key)).text()).lines;
}

async function tenants(): Promise<string[]> {
  return (await operator.json("tenant list")).tenants.map((tenant: { id: string }) => tenant.id);
}

const contents = (file: string) => readFileSync(join(project.folder, file), "utf8").replace(/"at":"[^"]+"/, '"at":""');

describe("a move, step by step", { timeout: 180_000 }, () => {
  it("1: the new account gets everything but a key, with the secrets of the old one", async () => {
    const port = await takePort();
    shareDatabase(project, folder, `http://127.0.0.1:${port}`);
    const launching = waitFor(() => project.account().worker?.secrets, Date.now() + 120_000).then((vars = {}) =>
      launchDevServer({ port, persistTo: folder, vars }),
    );
    const [said, launched] = await Promise.all([documented.type(MOVE_SECTION, 0, { env: secrets() }), launching]);
    next = launched;
    expect(said).toContain("\nNow the import, which brings keys and endpoints:\nnpm run admin -- import --file FILE");
    const { WAYBILL_PEPPER, WAYBILL_ENCRYPTION_KEY } = secrets();
    expect(project.account().worker?.secrets).toEqual({
      PEPPER: WAYBILL_PEPPER,
      ENCRYPTION_KEY: WAYBILL_ENCRYPTION_KEY,
    });
    expect(said).not.toContain(WAYBILL_PEPPER);
    expect(project.rows("SELECT id FROM tenants")).toEqual([]);
    changesIn(project);
  });

  it("2: the old one takes no more jobs, and runs those that it has", async () => {
    for (const TENANT of await tenants()) await documented.type(MOVE_SECTION, 1, { env: onOld(), words: { TENANT } });
    await vi.waitFor(async () => {
      const response = await callBroker(`${operator.broker.url}/v2/mine/run`, guest.key, { body: '{"input":"more"}' });
      if (response.status === 200) late.push(JSON.parse(await response.text()).id);
      expect(response.status).toBe(429);
      expect(response.headers.get("retry-after")).toBe("5");
    }, LATE);
    const depth = () => documented.type(MOVE_SECTION, 2, { env: onOld() });
    expect(await depth()).toMatch(new RegExp(` +${1 + late.length} +1\n`));
    release();
    await vi.waitFor(async () => expect(await depth()).toMatch(/ +0 +0\n/), 60_000);
  });

  it("and its webhooks are sent by it, and each job has its line of the bill", async () => {
    const { done, running, waiting } = jobs;
    await vi.waitFor(() => expect(told.toSorted()).toEqual([done, running, waiting].toSorted()), 20_000);
    await vi.waitFor(async () => {
      const billed = (await lines(operator.broker.url)).map(({ jobId }) => jobId);
      expect(billed.toSorted()).toEqual([done, running, waiting, ...late].toSorted());
    }, 20_000);
  });

  it("3: the export has them", async () => {
    await documented.type(MOVE_SECTION, 3, { env: onOld() });
    for (const id of [...Object.values(jobs), ...late])
      expect(contents("waybill.ndjson")).toContain(`"job_id":"${id}"`);
    expect(contents("waybill.ndjson")).toMatch(/"sealed_env":"[^"]{200000}/);
  });

  it("and the old one gives up its fleets, which the export still has", async () => {
    expect(await ask("GET", "/v1/endpoints/mine")).toMatchObject({ providers: [providerId] });
    await documented.type(MOVE_SECTION, 4, { env: onOld(), words: { ENDPOINT: "mine" } });
    expect(await ask("GET", "/v1/endpoints/mine")).toMatchObject({ providers: [] });
  });

  it("4: an import that ends in the middle leaves nothing that can be used, and no way for a first key", async () => {
    const words = "d1 execute DB --remote --json --yes --file PATH";
    project.failOnce({ words, when: "after" });
    const line = "npm run admin -- import --file waybill.ndjson --remote";
    const failed = await project.shell(line, { env: secrets() });
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain("Run it again with the same file: it goes on where this run has ended.\n");
    expect((await callBroker(`${next?.url}/v2/mine/health`, guest.key)).status).toBe(503);
    changesIn(project);
    const deployed = await project.deploy([], { env: secrets() });
    expect(deployed.stdout).toContain("An import has begun here and not ended, and until it has no key works:\n");
    const init = await project.shell("npm run admin -- setup --remote", { env: secrets() });
    expect(init.stderr).toContain("an import has begun in this database and not ended");
    expect(changesIn(project)).toEqual([]);
    expect(project.rows("SELECT id FROM api_keys")).toEqual([]);
  });

  it("and is repeated: the new deployment exports the same, byte for byte but for the time", async () => {
    expect(await documented.type(MOVE_SECTION, 5, { env: secrets() })).toContain(
      "\n0 changes: all is as it should be\n",
    );
    const exported = await project.shell("npm run admin -- export --file second.ndjson", { env: onNew() });
    expect(exported.stderr).toBe("");
    expect(contents("second.ndjson") === contents("waybill.ndjson")).toBe(true);
    const again = await project.shell("npm run admin -- import --file waybill.ndjson --remote", { env: secrets() });
    expect(again).toMatchObject({ code: 0, stderr: "All of it is there already: nothing was written.\n" });
  });

  it("5: the same request by the same key runs there, and the bill goes on behind the lines of the old one", async () => {
    for (const TENANT of await tenants())
      expect(await documented.type(MOVE_SECTION, 6, { env: onNew(), words: { TENANT } })).toContain(
        "waitingMax: 10000",
      );
    const base = next?.url ?? "";
    const { id } = await ask("POST", "/v2/mine/run", { input: "held", webhook: worker.url }, base);
    await vi.waitFor(async () => {
      const status = await (await callBroker(`${base}/v2/mine/status/${id}`, guest.key)).json();
      expect(status).toMatchObject({ status: "COMPLETED", output: { echo: "held" } });
      const billed = (await lines(base)).map(({ jobId }) => jobId);
      expect(billed.toSorted()).toEqual([...Object.values(jobs), ...late, id].toSorted());
    }, 30_000);
    const moved = { env: { LONG }, providers: [providerId] };
    expect(await ask("GET", "/v1/endpoints/mine", undefined, base)).toMatchObject(moved);
    await vi.waitFor(() => expect(told.toSorted()).toEqual([...Object.values(jobs), id].toSorted()), 20_000);
  });

  it("6: the old one has what was submitted to it, and the new one does not", async () => {
    const statusAt = async (base: string) =>
      (await callBroker(`${base}/v2/mine/status/${jobs.waiting}`, guest.key)).status;
    expect(await statusAt(operator.broker.url)).toBe(200);
    expect(await statusAt(next?.url ?? "")).toBe(404);
    documented.expectTyped((section) => section === MOVE_SECTION);
  });
});
