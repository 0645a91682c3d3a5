// A deployment is exported and made anew of its export: the second export equals the first, and what worked before works after.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { applyMigrations } from "../../src/cli/dev-database.ts";
import { ensureDevSecrets } from "../../src/cli/dev-secrets.ts";
import { type DevServer, launchDevServer } from "../../src/cli/dev-server.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { open } from "../../src/outbound/credentials.ts";
import { callBroker } from "../running/broker.ts";
import { type MockWorker, startMockWorker } from "../running/mock-worker.ts";
import { takePort } from "../running/port.ts";
import { type Operator, rowsIn, runCommand, startOperator } from "./operator.ts";

/** Of over 170,000 bytes, and with what SQL or a cut could break. */
const LONG = `it's\n"so"; 😀${"漢".repeat(58_000)}`;

let worker: MockWorker;
let operator: Operator;
let folder: string;
/** The export, and that of the deployment which was made of it. */
let files: { readonly first: string; readonly second: string; readonly tenant: string };
let next: DevServer | undefined;
let guest: { readonly id: string; readonly key: string };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "waybill-transfer-"));
  files = { first: join(folder, "first"), second: join(folder, "second"), tenant: join(folder, "tenant") };
  worker = await startMockWorker(async (body) => JSON.stringify({ echo: JSON.parse(body.toString()).input }));
  operator = await startOperator({ ocr: { url: worker.url, dialect: "http", slots: 4, credential: "sk-to-be-kept" } });
  await fillDeployment();
  await operator.admin(`export --file ${files.first}`);
  await operator.admin(`export --tenant ${guest.id} --file ${files.tenant}`);

  const state = join(folder, "state");
  await applyMigrations(state);
  await runCommand("waybill.ts", ["import", "--file", files.first, "--state", state]);
  next = await launchDevServer({ port: await takePort(), persistTo: state });
  await operator.admin(`export --file ${files.second}`, { WAYBILL_URL: next.url });
}, 180_000);

afterAll(async () => {
  await next?.stop();
  await operator?.stop();
  await worker?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Something of each kind. */
async function fillDeployment(): Promise<void> {
  const { json, admin, broker } = operator;
  const { id } = await json("tenant create --name guest");
  guest = { id, key: (await json(`key create --tenant ${id} --scopes jobs,manage`)).key };
  const api = async (method: string, path: string, body?: object): Promise<{ id: string }> => {
    const headers = { authorization: `Bearer ${guest.key}`, "content-type": "application/json" };
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    const response = await fetch(`${broker.url}${path}`, init);
    if (!response.ok) throw new Error(await response.text());
    return response.status === 204 ? { id: "" } : JSON.parse(await response.text());
  };
  await api("POST", "/v1/endpoints", { slug: "mine", env: { TOKEN: "of-a-worker", LONG } });
  await api("PATCH", "/v1/endpoints/mine", { image: "an/image" });
  await api("POST", "/v1/endpoints/mine/upstreams", { url: worker.url, dialect: "http", tier: "l4", slots: 2 });
  await api("POST", "/v1/endpoints/mine/worker-keys", { tier: "l4" });
  await api("POST", "/v2/templates", { name: "one's own", image: "i", env: { A: "b\n'c'" } });
  const offers = [{ gpuTypeId: "NVIDIA L4", pricePerHour: "0.43" }];
  const pods = { name: "pods", kind: "runpod", credential: "rpa-to-be-kept", offers, default: true };
  const { id: provider } = await api("POST", "/v1/providers", pods);
  const gone = await api("POST", "/v1/providers", { ...pods, default: false });
  await api("DELETE", `/v1/providers/${gone.id}`);
  const fleet = { providers: [provider], maxCostPerHour: "2.5", gpu: { pools: ["AMPERE_24"] } };
  await api("PATCH", "/v1/endpoints/mine", fleet);
  await api("POST", "/v1/endpoints", { slug: "gone" });
  await api("DELETE", "/v1/endpoints/gone");
  await admin("rates add --tier l4 --rate flex --dollars 0.0002");
  for (let job = 0; job < 3; job += 1) await runJob(broker.url, "mine");
  await vi.waitFor(async () => {
    const response = await callBroker(`${broker.url}/v1/usage`, guest.key);
    expect(JSON.parse(await response.text()).lines).toHaveLength(3);
  }, 20_000);
}

async function runJob(url: string, slug: string): Promise<unknown> {
  const response = await callBroker(`${url}/v2/${slug}/runsync`, guest.key, { body: '{"input":{"n":1}}' });
  return JSON.parse(await response.text());
}

/** Without the time of the export. */
function read(file: string): string {
  return readFileSync(file, "utf8").replace(/"at":"[^"]+"/, '"at":""');
}

describe("a deployment that was made of an export", () => {
  it("gives the same export, byte for byte but for the time", () => {
    expect(read(files.second)).toBe(read(files.first));
    const tables = new Set(
      read(files.first)
        .trim()
        .split("\n")
        .slice(1, -1)
        .map((line) => JSON.parse(line).table),
    );
    const some = [
      "tenants",
      "endpoints",
      "releases",
      "upstreams",
      "api_keys",
      "templates",
      "providers",
      "usage_lines",
      "audit_lines",
    ];
    expect([...tables]).toEqual(expect.arrayContaining(some));
  });

  it("runs jobs by the same key and address, on the same upstream, and bills them after those that it had", async () => {
    const url = next?.url ?? "";
    expect(await runJob(url, "mine")).toMatchObject({ status: "COMPLETED", output: { echo: { n: 1 } } });
    await vi.waitFor(async () => {
      const response = await callBroker(`${url}/v1/usage`, guest.key);
      expect(JSON.parse(await response.text()).lines).toHaveLength(4);
    }, 20_000);
  });

  it("opens what was sealed: the environment of workers", async () => {
    const response = await callBroker(`${next?.url}/v1/endpoints/mine`, guest.key);
    expect(JSON.parse(await response.text())).toMatchObject({
      env: { TOKEN: "of-a-worker", LONG },
      image: "an/image",
    });
  });
});

describe("a fleet of such a deployment", () => {
  it("has the provider that it had, whose key opens, and none that was removed", async () => {
    const get = async (path: string) => {
      const response = await callBroker(`${next?.url}${path}`, guest.key);
      return JSON.parse(await response.text());
    };
    const { providers } = await get("/v1/providers");
    expect(providers).toMatchObject([{ name: "pods", kind: "runpod", default: true, hasCredential: true }]);
    expect(await get("/v1/endpoints/mine")).toMatchObject({
      providers: [providers[0].id],
      maxCostPerHour: "2.500000000",
    });
    const [row] = rowsIn(join(folder, "state"), "SELECT * FROM providers");
    const encryptionKey = ensureDevSecrets(PROJECT_FOLDER).get("ENCRYPTION_KEY") ?? "";
    const opened = await open(String(row?.sealed_credential), encryptionKey, `provider:${providers[0].id}`);
    expect(opened).toBe("rpa-to-be-kept");
  });
});

describe("an export", () => {
  it("has no key, no credential and no value of an environment, and its owner alone may read it", () => {
    const text = read(files.first);
    for (const secret of [guest.key, operator.broker.key, "sk-to-be-kept", "rpa-to-be-kept", "of-a-worker"])
      expect(text).not.toContain(secret);
    expect(statSync(files.first).mode & 0o077).toBe(0);
  });

  it("of a tenant has nothing of another one", () => {
    const [head = "", ...lines] = read(files.tenant).trim().split("\n");
    expect(JSON.parse(head).tenant).toBe(guest.id);
    const whole = new Set(read(files.first).split("\n"));
    expect(lines.slice(0, -1).every((line) => whole.has(line))).toBe(true);
    expect(lines.join()).not.toContain('"ocr"');
    expect(lines.join()).toContain('"mine"');
  });

  it("is not for a key without the scope admin, and names a tenant that does not exist", async () => {
    const response = await callBroker(`${operator.broker.url}/v1/admin/export`, guest.key);
    expect(response.status).toBe(403);
    await expect(operator.admin(`export --tenant ten-none --file ${join(folder, "none")}`)).rejects.toMatchObject({
      stderr: expect.stringContaining("tenant"),
    });
  });
});

describe("an import refuses", () => {
  const state = () => join(folder, "empty");
  const importing = (file: string, env = {}, into = state()) =>
    runCommand("waybill.ts", ["import", "--file", file, "--state", into], env).then(
      () => "",
      (error: { stderr: string }) => error.stderr,
    );
  const change = (name: string, edit: (text: string) => string): string => {
    const file = join(folder, name);
    writeFileSync(file, edit(readFileSync(files.first, "utf8")));
    return file;
  };

  it("a deployment that has tenants", async () => {
    expect(await importing(files.first, {}, operator.broker.folder)).toContain("has tenants already");
  });

  it.each([
    ["one that was cut off", (text: string) => text.slice(0, -20), "cut off"],
    ["one that lacks a row", (text: string) => text.replace(/\n[^\n]+/, ""), "rows of"],
    ["what is none", () => "{}", "no export"],
    [
      "one of another release",
      (text: string) => text.replace(/"migration":"[^"]+"/, '"migration":"0001"'),
      "same release",
    ],
    ["one of other secrets", (text: string) => text.replace(/"pepper":"./, '"pepper":"!'), "pepper is not that of"],
    ["a column that is SQL", (text: string) => text.replace('{"id":', '{"id) VALUES (1); --":'), "no column"],
  ])("%s, and writes nothing", async (name, edit, words) => {
    expect(await importing(change(name.replaceAll(" ", "-"), edit))).toContain(words);
    expect(await importing(join(folder, "no-such-file"))).toContain("no such file");
  });
});
