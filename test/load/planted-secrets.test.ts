// Over two hundred secrets are given to a running broker, which then runs jobs whose upstreams repeat what they were sent, answers every
// reading call that its description has, and refuses calls that carry secrets in the wrong place. Then each answer, its log and every
// file that it has kept are searched for them.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensureDevSecrets } from "../../src/cli/dev-secrets.ts";
import type { DevServer } from "../../src/cli/dev-server.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { type PreparedBroker, prepareBroker } from "../running/broker.ts";
import { type EchoingServer, startEchoingServer } from "./echoing-server.ts";
import {
  type Answer,
  type Caller,
  type PlantedTenant,
  Planter,
  type Secret,
  secretPartOf,
  UPSTREAM_NAME,
} from "./planted-secrets.ts";

const TENANTS = 10;
/** A job's attempt, a pause of its upstream, and the answer. */
const JOB_WAIT_MS = 30_000;

let prepared: PreparedBroker;
let broker: DevServer | undefined;
let server: EchoingServer;
let planter: Planter;
let operator: Caller;
let tenants: readonly PlantedTenant[];
let log: string;
let files: readonly { readonly path: string; readonly bytes: Buffer }[];

beforeAll(async () => {
  server = await startEchoingServer();
  prepared = await prepareBroker({});
  broker = await prepared.launch();
  planter = new Planter(broker.url, server.url);
  operator = { key: prepared.key, scopes: ["jobs", "manage", "admin"] };
  planter.keepDeployment(secretPartOf(operator.key));
  for (const secret of ensureDevSecrets(PROJECT_FOLDER).values()) planter.keepDeployment(secret);
  tenants = await Promise.all(Array.from({ length: TENANTS }, (_, number) => planter.plant(operator, number)));
  await Promise.all(tenants.map(runJobs));
  await Promise.all(tenants.map(misplaceSecrets));
  const paths = await readingPaths();
  await Promise.all(tenants.map((tenant) => readEverything(tenant, paths)));
  await broker.stop();
  log = readFileSync(broker.logFile, "utf8");
  broker = undefined;
  files = filesBelow(prepared.folder);
}, 300_000);

afterAll(async () => {
  await broker?.stop();
  await server?.stop();
  prepared?.discard();
});

/** Jobs that end well and badly, with a webhook that is refused for good. */
async function runJobs({ both, token, endpoints, upstreams }: PlantedTenant): Promise<void> {
  const [endpoint, llm] = endpoints;
  const send = async (mode: string, caller = both): Promise<void> => {
    const body = { input: { mode }, ...(caller === both ? { webhook: `${server.url}/gone` } : {}) };
    const { text } = await planter.call(caller, "POST", `/v2/${endpoint}/run`, body);
    const { id } = JSON.parse(text);
    await planter.call(caller, "GET", `/v2/${endpoint}/status-sync/${id}?wait=${JOB_WAIT_MS}`);
    await planter.call(caller, "GET", `/v2/${endpoint}/stream/${id}`);
    await planter.call(both, "GET", `/v1/jobs/${id}`);
  };
  const chat = (model: string) => {
    const body = { model, messages: [{ role: "user", content: "x" }] };
    return planter.call(both, "POST", `/v2/${llm}/openai/v1/chat/completions`, body);
  };
  await Promise.all(
    ["ok", "ok", "ok", "large", "large", "stream", "stream", "refuse", "refuse"].map((mode) => send(mode)),
  );
  await Promise.all(["ok", "stream"].map((mode) => send(mode, token)));
  // Its calls are used up, it is not for this route, and it is not as it was made.
  await planter.call(token, "POST", `/v2/${endpoint}/run`, { input: {} });
  await planter.call(token, "GET", `/v2/${endpoint}/health`);
  await planter.call({ key: `${token.key}x`, scopes: [] }, "POST", `/v2/${endpoint}/run`, { input: {} });
  await Promise.all(["ok", "ok", "refuse"].map(chat));
  // Last, because an upstream that fails is paused.
  await Promise.all(["fail", "fail"].map((mode) => send(mode)));
  await chat("fail");
  for (const upstream of upstreams)
    await planter.call(both, "POST", `/v1/endpoints/${upstream.endpoint}/upstreams/${upstream.id}/test`, {});
  await planter.call(both, "POST", "/v1/webhooks/dead/redeliver", {});
}

/** Calls that are refused for what is wrong with a secret, or beside it. */
async function misplaceSecrets({ both, things, endpoints }: PlantedTenant): Promise<void> {
  const credential = () => planter.invent("credential");
  const env = () => planter.invent("env value");
  const [endpoint] = endpoints;
  const upstream = { url: server.url, dialect: "http", tier: "a4000" };
  const upstreams = `/v1/endpoints/${endpoint}/upstreams`;
  const provider = { name: "p", offers: [{ gpuTypeId: "NVIDIA L4", pricePerHour: "0.43" }] };
  const refused: readonly (readonly [method: string, path: string, body: unknown])[] = [
    ["POST", upstreams, { ...upstream, credential: `${credential()}\n` }],
    ["POST", upstreams, { ...upstream, credential: { token: credential() } }],
    ["POST", upstreams, { ...upstream, credential: credential(), tier: "no such tier" }],
    ["POST", upstreams, { ...upstream, url: `http://user:${credential()}@127.0.0.1:9/` }],
    ["POST", upstreams, `{"credential":"${credential()}", broken`],
    ["PATCH", `${upstreams}/${things.upstreams}`, { credential: [credential()] }],
    ["POST", "/v1/providers", { ...provider, kind: "runpod", credential: `${credential()}\n` }],
    ["POST", "/v1/providers", { ...provider, kind: "runpod", credential: credential(), offers: [] }],
    ["POST", "/v1/providers", { ...provider, kind: "none", credential: credential() }],
    ["POST", "/v1/providers", { ...provider, kind: "webhook", url: server.url, credential: credential() }],
    ["POST", "/v1/providers", { ...provider, kind: "webhook", url: `http://user:${credential()}@127.0.0.1:9/` }],
    ["PATCH", `/v1/providers/${things.providers}`, { credential: [credential()] }],
    ["PATCH", `/v1/providers/${things.providers}`, { url: `${server.url}?token=${credential()}` }],
    ["POST", "/v1/endpoints", { slug: "x-1", env: [env()] }],
    ["POST", "/v1/endpoints", { slug: "x-1", env: { "1 bad name": env() } }],
    ["POST", "/v1/endpoints", { slug: things.endpoints, env: { NAME: { value: env() } } }],
    ["POST", "/v2/serverless", { name: "x", env: `NAME=${env()}` }],
    ["PATCH", `/v2/serverless/${endpoint}`, { env: { NAME: env() }, workers: { min: -1 } }],
    ["POST", "/v2/templates", { name: "x", env: { NAME: env() } }],
    ["POST", "/graphql", { query: `mutation { saveTemplate(input: {env: [{key: "A", value: "${env()}"}]}) { id } }` }],
    ["POST", "/v1/keys", { name: "x", scopes: [planter.invent("key")] }],
  ];
  for (const [method, path, body] of refused) {
    const answer = await planter.call(both, method, path, body);
    // GraphQL answers 200 with errors.
    if (path !== "/graphql" && (answer.status < 400 || answer.status >= 500))
      throw new Error(`${answer.call} was not refused: ${answer.status} ${answer.text}`);
  }
  // A key with a wrong checksum, and one that does not exist. None in an address: the platform keeps addresses, and no route takes one there.
  const broken = `${both.key.slice(0, -1)}${both.key.endsWith("a") ? "b" : "a"}`;
  for (const key of [broken, planter.invent("key")]) await planter.call({ key, scopes: [] }, "GET", "/v1/me");
}

/** What only asks, but for what workers ask for and the logs of a worker, which stay open. */
async function readingPaths(): Promise<string[]> {
  const { text } = await planter.call(operator, "GET", "/openapi.json");
  const { paths }: { paths: Record<string, object> } = JSON.parse(text);
  return Object.entries(paths)
    .filter(([path, methods]) => "get" in methods && !/\{worker\}|^\/lb\/|\/stream\/|openai/.test(path))
    .map(([path]) => path);
}

async function readEverything({ callers, things, both }: PlantedTenant, paths: readonly string[]): Promise<void> {
  const page = await planter.call(both, "GET", `/v1/endpoints/${things.endpoints}/jobs`);
  const [job] = JSON.parse(page.text).jobs;
  const ids: Record<string, string> = { ...things, jobs: job.id, status: job.id, "status-sync": job.id };
  for (const path of paths) {
    const filled = path.replace(/([^/]+)\/\{\w+\}/g, (_, before: string) => `${before}/${ids[before] ?? "x"}`);
    const nested = filled.replace(/([^/]+)\/\{\w+\}/g, (_, before: string) => `${before}/${ids[before] ?? "x"}`);
    for (const caller of [...callers, operator]) await planter.call(caller, "GET", nested);
  }
}

function filesBelow(folder: string): { readonly path: string; readonly bytes: Buffer }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path, bytes: readFileSync(path) }));
}

/** The text as it is, and as a part of base64 and of hexadecimal digits: those are no secrets to anybody either. */
function writingsOf(text: string): string[] {
  const inBase64 = [0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), Buffer.from(text)])
      .toString("base64")
      // The first and last characters depend on what stands beside the text.
      .slice(4, -4),
  );
  return [text, ...inBase64, Buffer.from(text).toString("hex")];
}

function secretsIn(bytes: Buffer | string): string[] {
  return planter.secrets
    .filter(({ text }) => writingsOf(text).some((writing) => bytes.includes(writing)))
    .map(({ kind, text }) => `${kind} ${text}`);
}

/** The settings of an endpoint or a template, which show their environment to the scope `manage`. */
const SHOWS_ENV = /^(GET|POST|PATCH) \/(v1\/endpoints|v2\/serverless|v2\/templates)(\/[^/]+)?$/;

function mayShow({ kind, givenBy }: Secret, answer: Answer): boolean {
  if (kind === "env value") return SHOWS_ENV.test(answer.call) && answer.scopes.includes("manage");
  return givenBy === answer;
}

describe("over two hundred secrets of a broker that has been used", () => {
  it("are there, and were used", () => {
    expect(planter.secrets.length).toBeGreaterThan(200);
    expect(server.credentialsSeen()).toBeGreaterThan(10 * TENANTS);
    const texts = planter.answers.map(({ text }) => text);
    // The places where an upstream repeated its credential.
    const repeated = [
      /I was sent Bearer \*.*"COMPLETED"/,
      /I was sent Bearer \*.*"FAILED"/,
      /"stream":.*I was sent Bearer \*/,
    ];
    for (const sentence of repeated)
      expect(texts.filter((text) => sentence.test(text)).length, String(sentence)).toBeGreaterThan(0);
    const shown = planter.secrets.filter(({ text }) => texts.some((answer) => answer.includes(text)));
    expect(new Set(shown.map(({ kind }) => kind))).toEqual(
      new Set(["key", "worker key", "token", "webhook secret", "env value"]),
    );
  });

  it("are in no answer but those that are meant to show them", () => {
    const leaks = planter.answers.flatMap((answer) =>
      planter.secrets
        .filter((secret) => !mayShow(secret, answer) && answer.text.includes(secret.text))
        .map(({ kind }) => `${kind} in ${answer.status} of ${answer.call} by ${answer.scopes}`),
    );
    expect(leaks).toEqual([]);
  });

  it("are in no line of the log", () => {
    expect(log).toContain('"event"');
    expect(secretsIn(log)).toEqual([]);
  });

  it("are in no file that the broker keeps", () => {
    // The search sees what stands in the database, in a broker's own storage and in R2.
    const all = Buffer.concat(files.map(({ bytes }) => bytes));
    for (const visible of [UPSTREAM_NAME, tenants[0]?.name ?? "", '"mode":"ok"', "I was sent Bearer ****"])
      expect(all.includes(visible), visible).toBe(true);
    expect(files.flatMap(({ path, bytes }) => secretsIn(bytes).map((found) => `${found} in ${path}`))).toEqual([]);
  });
});
