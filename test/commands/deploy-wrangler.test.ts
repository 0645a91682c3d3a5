// The commands of npm run deploy by the real wrangler, which asks a server that answers as Cloudflare's API does: the
// words are its words, what it sends is what is meant, and what it prints is read right.
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { executeRemote } from "../../src/cli/d1.ts";
import {
  addExpiry,
  applyMigrations,
  createBucket,
  createDatabase,
  createQueue,
  deleteBucket,
  deleteDatabase,
  deleteQueue,
  deleteWorker,
  deploy,
  deployPlainly,
  findConsumers,
  findDatabase,
  findExpiry,
  findTag,
  listAccounts,
  listSecrets,
  putSecrets,
  readDatabase,
} from "../../src/cli/deploy/wrangler.ts";
import { statement } from "../../src/db/statement.ts";

interface Sent {
  readonly call: string;
  readonly body: string;
}

/** `result` of an answer, the code and text of a refusal, or what makes one of a body. */
type Answer = unknown | { readonly code: number; readonly message: string };

let server: Server;
let folder: string;
let sent: Sent[] = [];
/** By the beginning of `METHOD /path`, from the account on; the longest that fits answers. */
let answers: Record<string, Answer> = {};

const isRefusal = (answer: Answer): answer is { code: number; message: string } =>
  typeof answer === "object" && answer !== null && "code" in answer && "message" in answer;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "waybill-wrangler-test-"));
  server = createServer(async (request, response) => {
    const body = (await request.setEncoding("latin1").toArray()).join("");
    const call = `${request.method} ${(request.url ?? "").replace(/^\/client\/v4/, "").replace("/accounts/a1", "")}`;
    sent.push({ call, body });
    const fits = Object.keys(answers).filter((start) => call.startsWith(start));
    const [longest] = fits.sort((a, b) => b.length - a.length);
    const given = longest === undefined ? { code: 7003, message: `no answer to ${call}` } : answers[longest];
    const answer = typeof given === "function" ? given(body) : given;
    // As R2 answers an upload.
    response.setHeader("etag", `"${createHash("md5").update(body, "latin1").digest("hex")}"`);
    const refused = isRefusal(answer);
    const text = refused
      ? { success: false, errors: [answer], messages: [], result: null }
      : { success: true, errors: [], messages: [], result: answer, result_info: { page: 1, total_pages: 1, count: 1 } };
    response.writeHead(refused ? 404 : 200, { "content-type": "application/json" }).end(JSON.stringify(text));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  vi.stubEnv("CLOUDFLARE_API_BASE_URL", `http://127.0.0.1:${port}/client/v4`);
  vi.stubEnv("CLOUDFLARE_API_TOKEN", "token");
  vi.stubEnv("CLOUDFLARE_ACCOUNT_ID", "a1");
  vi.stubEnv("WRANGLER_SEND_METRICS", "false");
  vi.stubEnv("WRANGLER_LOG_PATH", join(folder, "logs"));
  vi.stubEnv("HOME", folder);
});

afterAll(async () => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
  await new Promise((resolve) => server.close(resolve));
});

beforeEach(() => {
  sent = [];
  answers = {};
});

/** What was sent to change something. */
const changes = () => sent.filter(({ call }) => !call.startsWith("GET "));

describe("the account", () => {
  it("is one of those that the login may use; without a login there is a sentence", async () => {
    answers = {
      "GET /user/tokens/verify": { id: "t", status: "active" },
      "GET /user": { id: "u", email: "me@example.com" },
      "GET /accounts": [{ id: "a1", name: "Acme" }],
      "GET /memberships": [{ account: { id: "a1", name: "Acme" } }],
    };
    expect(await listAccounts()).toEqual([{ id: "a1", name: "Acme" }]);
    vi.stubEnv("CLOUDFLARE_API_TOKEN", "");
    await expect(listAccounts()).rejects.toThrow("wrangler is not logged in: npx wrangler login");
    vi.stubEnv("CLOUDFLARE_API_TOKEN", "token");
  });
});

describe("the database", () => {
  const id = "11111111-1111-4111-8111-111111111111";

  it("is found by its name, made, and deleted", async () => {
    answers = {
      "GET /d1/database?": [{ uuid: id, name: "waybill", version: "production", created_at: "2026-11-29" }],
      "POST /d1/database": { uuid: id, name: "waybill" },
      [`DELETE /d1/database/${id}`]: null,
    };
    expect(await findDatabase("waybill")).toBe(id);
    expect(await findDatabase("other")).toBe(null);
    await createDatabase("waybill");
    await deleteDatabase({ name: "waybill", id });
    expect(changes()).toEqual([
      { call: "POST /d1/database", body: '{"name":"waybill"}' },
      { call: `DELETE /d1/database/${id}`, body: "" },
    ]);
  });

  it("is read by its id, whatever wrangler.toml says, and a missing table is told apart", async () => {
    answers = { [`POST /d1/database/${id}/query`]: [{ results: [{ name: "0001" }], success: true, meta: {} }] };
    const database = { name: "waybill", id };
    expect(await readDatabase(database, [statement("SELECT name FROM d1_migrations")])).toEqual([[{ name: "0001" }]]);
    expect(changes()).toEqual([
      { call: `POST /d1/database/${id}/query`, body: '{"sql":"SELECT name FROM d1_migrations;"}' },
    ]);
    answers = { "POST ": { code: 7500, message: "no such table: d1_migrations: SQLITE_ERROR" } };
    await expect(readDatabase(database, [statement("SELECT 1")])).rejects.toThrow("no such table: d1_migrations");
  });

  it("gets the migrations that it lacks", async () => {
    const none = "00000000-0000-0000-0000-000000000000";
    answers = {
      [`POST /d1/database/${none}/query`]: [{ results: [{ name: "0001_tenants.sql" }], success: true, meta: {} }],
    };
    await applyMigrations();
    const applied = changes().flatMap(({ body }) => /values \('(\w+\.sql)'\)/.exec(body)?.[1] ?? []);
    expect(applied[0]).toBe("0002_usage.sql");
    expect(applied.length).toBeGreaterThan(10);
    answers = { "POST ": { code: 7404, message: "The database could not be found" } };
    await expect(applyMigrations()).rejects.toThrow("The database could not be found [code: 7404]");
  });
});

describe("a file of statements", () => {
  const statements = [statement("DELETE FROM meta WHERE name = ?", "it's 漢😀"), statement("DELETE FROM meta")];
  const done = { success: true, status: "complete", messages: [], at_bookmark: "b" };
  const meta = { duration: 1, rows_read: 0, rows_written: 2, size_after: 1 };
  /** What D1 answers to each step of an import; the file goes to where the first answer says. */
  const importing = (last: object) => (body: string) => {
    const { action } = JSON.parse(body);
    if (action === "init") return { filename: "f", upload_url: `${process.env.CLOUDFLARE_API_BASE_URL}/upload` };
    return action === "ingest" ? { ...done, status: "active" } : last;
  };

  it("is uploaded as it is, and waited for", async () => {
    const result = { num_queries: 2, final_bookmark: "b", meta };
    answers = { "POST /d1/database/": importing({ ...done, result }), "PUT /upload": null };
    await executeRemote(statements);
    const uploaded = Buffer.from(sent.find(({ call }) => call === "PUT /upload")?.body ?? "", "latin1").toString();
    expect(uploaded).toBe("DELETE FROM meta WHERE name = 'it''s 漢😀';\nDELETE FROM meta;");
    const steps = sent.flatMap(({ call, body }) => (call.endsWith("/import") ? JSON.parse(body).action : []));
    expect(steps).toEqual(["init", "ingest", "poll"]);
  });

  it("that D1 refuses or cannot end is an error with D1's reason", async () => {
    const errors = ["statement too long: SQLITE_TOOBIG"];
    answers = { "POST /d1/database/": importing({ ...done, status: "error", errors }), "PUT /upload": null };
    await expect(executeRemote(statements)).rejects.toThrow("statement too long: SQLITE_TOOBIG");
    answers = { "POST /d1/database/": importing({ success: false, error: "D1 was reset" }), "PUT /upload": null };
    await expect(executeRemote(statements)).rejects.toThrow("D1 was reset");
  });
});

describe("the bucket", () => {
  const path = "/r2/buckets/waybill-payloads";
  const abort = {
    ...{ id: "Default Multipart Abort Rule", enabled: true, conditions: {} },
    abortMultipartUploadsTransition: { condition: { type: "Age", maxAge: 604_800 } },
  };
  const orphans = {
    ...{ id: "orphans", enabled: true, conditions: {} },
    deleteObjectsTransition: { condition: { type: "Age", maxAge: 2_592_000 } },
  };

  it.each([
    ["with a rule for all objects", [abort, orphans], true],
    ["with a rule that is switched off", [{ ...orphans, enabled: false }], false],
    ["with a rule for some objects", [{ ...orphans, conditions: { prefix: "a/" } }], false],
    ["without a rule that deletes", [abort], false],
    ["without a rule", [], false],
  ])("%s", async (_name, rules, expires) => {
    answers = { [`GET ${path}/lifecycle`]: { rules } };
    expect(await findExpiry("waybill-payloads")).toBe(expires);
  });

  it("that is not there, and one that cannot be asked for", async () => {
    answers = { "GET /r2": { code: 10_006, message: "The specified bucket does not exist." } };
    expect(await findExpiry("waybill-payloads")).toBe(null);
    answers = { "GET /r2": { code: 10_042, message: "Please enable R2 through the Cloudflare Dashboard." } };
    await expect(findExpiry("waybill-payloads")).rejects.toThrow(
      /^A request to the Cloudflare API \(\/accounts\/a1\/r2\/buckets\/waybill-payloads\/lifecycle\) failed\.\nPlease enable R2 through the Cloudflare Dashboard\. \[code: 10042\]$/,
    );
  });

  it("is made with a rule beside those that are there, and deleted unless it holds objects", async () => {
    answers = {
      "POST /r2/buckets": { name: "waybill-payloads" },
      [`GET ${path}`]: { name: "waybill-payloads" },
      [`GET ${path}/lifecycle`]: { rules: [abort] },
      [`PUT ${path}/lifecycle`]: {},
      [`DELETE ${path}`]: { code: 10_008, message: "The bucket you tried to delete is not empty." },
    };
    await createBucket("waybill-payloads");
    await addExpiry("waybill-payloads", "orphans", 30);
    expect(await deleteBucket("waybill-payloads")).toBe(false);
    const [made, ruled] = changes();
    expect(JSON.parse(made?.body ?? "")).toMatchObject({ name: "waybill-payloads" });
    expect(JSON.parse(ruled?.body ?? "")).toEqual({ rules: [abort, orphans] });
    answers[`DELETE ${path}`] = {};
    expect(await deleteBucket("waybill-payloads")).toBe(true);
  });
});

describe("a queue", () => {
  const queue = (consumers: object[]) => ({
    ...{ queue_id: "q1", queue_name: "dispatch", created_on: "x", modified_on: "y" },
    ...{ producers_total_count: 0, producers: [], consumers_total_count: consumers.length, consumers },
  });

  it("is found with the Workers that read it, made, and deleted", async () => {
    const readers = [
      { type: "worker", script: "waybill" },
      { type: "worker", script: "shop" },
    ];
    answers = {
      "GET /queues?page=1&name=dispatch": [queue(readers)],
      "GET /queues?page=1&name=webhooks": [],
      "POST /queues": queue([]),
      "DELETE /queues/q1": null,
    };
    expect(await findConsumers("dispatch")).toEqual(["waybill", "shop"]);
    expect(await findConsumers("webhooks")).toBe(null);
    await createQueue("webhooks");
    await deleteQueue("dispatch");
    expect(changes()).toEqual([
      { call: "POST /queues", body: expect.stringContaining('"queue_name":"webhooks"') },
      { call: "DELETE /queues/q1", body: "" },
    ]);
    answers["GET /queues?page=1&name=dispatch"] = [queue([])];
    expect(await findConsumers("dispatch")).toEqual([]);
  });
});

describe("the Worker", () => {
  const path = "/workers/scripts/waybill";
  const noWorker = { code: 10_007, message: "This Worker does not exist on your account." };

  it("has secrets, which are set all at once and not by arguments", async () => {
    answers = { [`GET ${path}/secrets`]: noWorker };
    expect(await listSecrets()).toBe(null);
    answers = {
      [`GET ${path}/secrets`]: [{ name: "PEPPER", type: "secret_text" }],
      [`PATCH ${path}/secrets-bulk`]: {},
    };
    expect(await listSecrets()).toEqual(["PEPPER"]);
    await putSecrets({ PEPPER: "a", ENCRYPTION_KEY: "b" });
    const [put] = changes();
    expect(JSON.parse(put?.body ?? "")).toMatchObject({
      secrets: { PEPPER: { text: "a" }, ENCRYPTION_KEY: { text: "b" } },
    });
  });

  it("that is not there is made by its first secrets", async () => {
    let asked = 0;
    answers = { [`PUT ${path}`]: { id: "waybill" } };
    Object.defineProperty(answers, `PATCH ${path}/secrets-bulk`, {
      enumerable: true,
      get: () => {
        asked += 1;
        return asked === 1 ? noWorker : {};
      },
    });
    await putSecrets({ PEPPER: "a" });
    expect(changes().map(({ call }) => call)).toEqual([
      `PATCH ${path}/secrets-bulk`,
      `PUT ${path}`,
      `PATCH ${path}/secrets-bulk`,
    ]);
  });

  it("tells by a tag what was deployed last", async () => {
    const version = (id: string, tag?: string) => ({
      ...{ id, metadata: { created_on: "2026-11-29T00:00:00Z" } },
      ...(tag === undefined ? {} : { annotations: { "workers/tag": tag } }),
    });
    const status = (...ids: string[]) => ({
      deployments: [{ id: "d", versions: ids.map((version_id) => ({ version_id, percentage: 100 / ids.length })) }],
    });
    answers = {
      [`GET ${path}/deployments`]: status("v2"),
      [`GET ${path}/versions`]: { items: [version("v1", "wb-1"), version("v2", "wb-2"), version("v3")] },
    };
    expect(await findTag()).toBe("wb-2");
    answers[`GET ${path}/deployments`] = status("v3");
    expect(await findTag()).toBe(null);
    answers[`GET ${path}/deployments`] = status("v1", "v2");
    expect(await findTag()).toBe(null);
    answers[`GET ${path}/deployments`] = { deployments: [] };
    expect(await findTag()).toBe(null);
  });

  it("is deployed with a tag, and its address is told among what leads to it", { timeout: 120_000 }, async () => {
    answers = deployAnswers(path);
    const targets = await deploy("wb-0123456789abcdef0123");
    expect(targets).toEqual(expect.arrayContaining(["https://waybill.acme.workers.dev", "schedule: */5 * * * *"]));
    const upload = changes().find(
      ({ call }) => call.startsWith(`PUT ${path}?`) || call.startsWith(`POST ${path}/versions`),
    );
    expect(upload?.body).toContain('"workers/tag":"wb-0123456789abcdef0123"');
    expect(upload?.body).toContain('"name":"PEPPER","type":"inherit"');
    expect(await deployPlainly()).toContain("https://waybill.acme.workers.dev");
  });

  it("is deleted with all that its objects hold", async () => {
    answers = { "DELETE /workers/services/waybill": null, "GET /storage/kv/namespaces": [] };
    await deleteWorker("waybill");
    expect(changes().map(({ call }) => call)).toEqual(["DELETE /workers/services/waybill?force=true"]);
  });
});

/** What wrangler asks for while it deploys. */
function deployAnswers(path: string): Record<string, Answer> {
  const queues = ["dispatch", "webhooks", "dispatch-dead", "webhooks-dead"].map((name) => ({
    ...{ queue_id: `q-${name}`, queue_name: name, created_on: "x", modified_on: "y", producers: [], consumers: [] },
    ...{ producers_total_count: 0, consumers_total_count: 0 },
  }));
  const service = {
    default_environment: { environment: "production", script: { tag: "t", last_deployed_from: "wrangler" } },
  };
  return {
    "GET /workers/services/waybill": service,
    [`GET ${path}/secrets`]: ["PEPPER", "ENCRYPTION_KEY"].map((name) => ({ name, type: "secret_text" })),
    "GET /queues?": queues,
    "GET /r2/buckets/waybill-payloads": { name: "waybill-payloads" },
    "GET /d1/database/": { uuid: "00000000-0000-0000-0000-000000000000", name: "waybill" },
    [`GET ${path}/settings`]: { bindings: [] },
    [`GET ${path}/versions`]: { items: [] },
    [`GET ${path}/schedules`]: { schedules: [] },
    ...Object.fromEntries(queues.map((one) => [`GET /queues?page=1&name=${one.queue_name}`, [one]])),
    ...Object.fromEntries(queues.map((one) => [`POST /queues/${one.queue_id}/consumers`, {}])),
    [`GET ${path}/deployments`]: { deployments: [] },
    [`POST ${path}/assets-upload-session`]: { jwt: "jwt", buckets: [] },
    [`PUT ${path}`]: { id: "waybill", tag: "t", deployment_id: "d", startup_time_ms: 1 },
    [`POST ${path}/versions`]: { id: "v1", startup_time_ms: 1, metadata: {}, resources: { script: { etag: "e" } } },
    [`POST ${path}/deployments`]: { id: "d" },
    [`PATCH ${path}/script-settings`]: {},
    [`GET ${path}/subdomain`]: { enabled: true, previews_enabled: false },
    [`POST ${path}/subdomain`]: { enabled: true, previews_enabled: false },
    "GET /workers/subdomain": { subdomain: "acme" },
    "GET /workers/workers/waybill": { id: "w", name: "waybill", subdomain: { enabled: true, previews_enabled: false } },
    [`PUT ${path}/schedules`]: { schedules: [{ cron: "*/5 * * * *" }] },
  };
}
