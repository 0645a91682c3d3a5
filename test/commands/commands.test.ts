// The table of the operator's commands, and the sentences that come of what a broker answers, with a server that answers anything.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { COMMANDS } from "../../src/cli/commands/table.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";

describe("the table of commands", () => {
  it("has each command once, with a summary that is one line", () => {
    const words = COMMANDS.map((command) => command.words);
    expect(new Set(words).size).toBe(words.length);
    for (const { words: typed, summary } of COMMANDS) expect(summary, typed).toMatch(/^[a-z][^\n.]+$/);
  });

  it("has options that are read alike in every command, because they are read before the command is known", () => {
    const isFlag = new Map<string, boolean>();
    for (const { words, options } of COMMANDS) {
      for (const [name, { type, value }] of Object.entries(options)) {
        expect(type === "flag", `${words} --${name}`).toBe(isFlag.get(name) ?? type === "flag");
        expect(value === undefined, `the help of ${words} --${name}`).toBe(type === "flag");
        isFlag.set(name, type === "flag");
      }
    }
  });

  it("takes no secret as an argument", () => {
    const names = new Set(COMMANDS.flatMap(({ options }) => Object.entries(options)).map(([name]) => name));
    for (const name of names) expect(name).not.toMatch(/^(key|pepper|secret|credential|encryption-key)$/);
  });
});

interface Asked {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly authorization: string | undefined;
  readonly ifMatch: string | undefined;
  readonly body: string;
}

let server: Server;
let url: string;
let asked: Asked[] = [];
let answer: { status: number; body: string; headers?: Record<string, string> };

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const body = (await request.setEncoding("utf8").toArray()).join("");
    const { method, url: path, headers } = request;
    asked.push({ method, path, authorization: headers.authorization, ifMatch: headers["if-match"], body });
    response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers }).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => new Promise((resolve) => server.close(resolve)));

beforeEach(() => {
  asked = [];
});

/** Of npm run admin, whose broker is the server. */
function admin(words: readonly string[], env: Record<string, string> = {}) {
  const place = { WAYBILL_URL: url, WAYBILL_KEY: "wb_key" };
  const args = ["src/cli/run-script.mjs", "src/cli/waybill.ts", ...words];
  return promisify(execFile)(process.execPath, args, {
    cwd: PROJECT_FOLDER,
    env: { ...process.env, ...place, ...env },
  });
}

function problem(status: number, body: object) {
  return { status, body: JSON.stringify({ title: "Bad Request", status, ...body }) };
}

describe("a request of a command", () => {
  it("has the fields of the options that were typed, and the key in a header", async () => {
    answer = { status: 201, body: JSON.stringify({ id: "ep", slug: "ocr" }) };
    await admin([
      "endpoint",
      "create",
      "--slug",
      "ocr",
      "--body-max-mib",
      "2",
      "--tenant-share",
      "10",
      "--kind",
      "queue",
    ]);
    const body = { slug: "ocr", bodyMaxBytes: 2_097_152, tenantSharePercent: 10, type: "QUEUE", visibility: "PRIVATE" };
    expect(asked).toEqual([
      { method: "POST", path: "/v1/endpoints", authorization: "Bearer wb_key", body: expect.any(String) },
    ]);
    expect(JSON.parse(asked[0]?.body ?? "")).toEqual(body);
  });

  it("has the origins that were typed, and an empty list for none", async () => {
    answer = { status: 200, body: JSON.stringify({ id: "ep", allowedOrigins: [] }) };
    for (const [typed, allowedOrigins] of [
      ["https://app.example, http://localhost:8000", ["https://app.example", "http://localhost:8000"]],
      ["none", []],
    ] as const) {
      await admin(["endpoint", "set", "--endpoint", "ep", "--allowed-origins", typed]);
      expect(JSON.parse(asked.at(-1)?.body ?? "")).toEqual({ allowedOrigins });
    }
  });

  it("has the providers, the hours and the bounds of a fleet that were typed, and what clears them", async () => {
    answer = { status: 200, body: JSON.stringify({ id: "ep" }) };
    const file = join(mkdtempSync(join(tmpdir(), "waybill-schedule-")), "schedule.json");
    const schedule = { timeZone: "UTC", entries: [{ days: ["Mon"], from: "08:00", to: "18:00", min: 1 }] };
    writeFileSync(file, JSON.stringify(schedule));
    const set = async (...words: readonly string[]) => {
      await admin(["endpoint", "set", "--endpoint", "ep", ...words]);
      return JSON.parse(asked.at(-1)?.body ?? "");
    };
    const typed = ["--providers", "prv-1,prv-2", "--worker-slots", "4", "--max-cost", "2.5", "--schedule", file];
    expect(await set(...typed, "--init-timeout", "10m", "--worker-lifetime", "12h")).toEqual({
      providers: ["prv-1", "prv-2"],
      workers: { slots: 4 },
      maxCostPerHour: "2.5",
      schedule,
      initTimeout: 600,
      workerLifetime: 43_200,
    });
    rmSync(dirname(file), { recursive: true });
    expect(await set("--providers", "none", "--max-cost", "none", "--without-schedule")).toEqual({
      providers: [],
      maxCostPerHour: null,
      schedule: null,
    });
    expect(await set("--providers", "default")).toEqual({ providers: null });
    answer = { status: 201, body: JSON.stringify({ id: "ep" }) };
    await admin(["endpoint", "create", "--slug", "ocr", "--providers", "none"]);
    expect(JSON.parse(asked.at(-1)?.body ?? "")).toMatchObject({ slug: "ocr", providers: [] });
  });

  it.each([
    [
      ["--init-timeout", "2h"],
      "--init-timeout must be a duration such as 90s, 15m, 12h or 30d, at least 5 s and at most 1 h",
    ],
    [["--schedule", "/no/such/file"], "--schedule: /no/such/file cannot be read"],
    [["--schedule", "x.json", "--without-schedule"], "--schedule or --without-schedule, not both"],
    [["--worker-slots", "0"], "--worker-slots must be a whole number from 1 to 1000"],
  ])("is not made of a fleet that is typed wrong: %o", async (words, sentence) => {
    const set = admin(["endpoint", "set", "--endpoint", "ep", ...words]);
    await expect(set).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining(sentence) });
    expect(asked).toEqual([]);
  });

  it("has the offers of a provider that were typed, and its credential from the environment", async () => {
    answer = { status: 201, body: JSON.stringify({ id: "prv-1", applied: false }) };
    const offers = "NVIDIA L4=0.43, NVIDIA GeForce RTX 5090=0.89/l40s,CPU=0.05/a4000";
    const words = ["provider", "add", "--name", "pods", "--kind", "runpod", "--offers", offers];
    const printed = await admin([...words, "--default", "--with-credential"], { WAYBILL_CREDENTIAL: "rpa_x" });
    expect(printed.stderr).toContain("Some endpoints' brokers did not answer");
    expect(asked[0]).toMatchObject({ method: "POST", path: "/v1/providers" });
    expect(JSON.parse(asked[0]?.body ?? "")).toEqual({
      name: "pods",
      kind: "runpod",
      offers: [
        { gpuTypeId: "NVIDIA L4", pricePerHour: "0.43" },
        { gpuTypeId: "NVIDIA GeForce RTX 5090", pricePerHour: "0.89", tier: "l40s" },
        { gpuTypeId: "CPU", pricePerHour: "0.05", tier: "a4000" },
      ],
      default: true,
      credential: "rpa_x",
    });
    answer = { status: 200, body: JSON.stringify({ id: "prv-1", applied: true }) };
    await admin(["provider", "set", "--provider", "prv-1", "--not-default"]);
    expect(asked[1]).toMatchObject({ method: "PATCH", path: "/v1/providers/prv-1", body: '{"default":false}' });
    const moved = admin(["provider", "set", "--provider", "prv-1", "--url", "https://other.example.com/"]);
    await expect(moved).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("--url") });
    const wrong = admin(["provider", "set", "--provider", "prv-1", "--offers", "NVIDIA L4"]);
    await expect(wrong).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('"NVIDIA L4" is not as') });
  });

  it("has the limits of calls that were typed, beside those that the tenant had, of the version that was read", async () => {
    const limits = { cancel: { calls: 7, open: 3 }, status: { calls: 1, open: 1 } };
    answer = { status: 200, body: JSON.stringify({ id: "t", version: 3, limits }) };
    const sent = async (...words: readonly string[]) => {
      await admin(["tenant", ...words]);
      const { method, ifMatch, body = "" } = asked.at(-1) ?? {};
      return { method, ifMatch, ...JSON.parse(body) };
    };
    const set = (typed: string) => sent("set", "--tenant", "t", "--waiting-max", "5", "--call-limits", typed);
    const patch = { method: "PATCH", ifMatch: '"3"', waitingMax: 5 };
    expect(await set("run=2000/400, status=5000/none,cancel=default")).toEqual({
      ...patch,
      limits: { run: { calls: 2_000, open: 400 }, status: { calls: 5_000, open: null } },
    });
    expect(await set("cancel=default,status=default")).toEqual({ ...patch, limits: null });
    const made = await sent("create", "--name", "n", "--call-limits", "purge-queue=9/none,run=default");
    expect(made).toEqual({ method: "POST", name: "n", limits: { "purge-queue": { calls: 9, open: null } } });
  });

  it.each(["run=5", "walk=1/1", ""])("is not made of limits of calls that are typed wrong: %s", async (typed) => {
    answer = { status: 200, body: "{}" };
    const set = admin(["tenant", "set", "--tenant", "t", `--call-limits=${typed}`]);
    await expect(set).rejects.toMatchObject({ code: 2, stderr: expect.stringMatching(/^--call-limits[: ]/) });
    expect(asked).toEqual([]);
  });

  it("does not follow a redirect, which would get the key", async () => {
    answer = { status: 302, body: "", headers: { location: `${url}/elsewhere` } };
    await expect(admin(["whoami"])).rejects.toMatchObject({
      code: 1,
      stderr: `${url} answered 302 to GET /v1/me: is that the address of a broker?\n`,
    });
    expect(asked.map(({ path }) => path)).toEqual(["/v1/me"]);
  });

  it("names a thing in its path, whatever is in the name", async () => {
    answer = { status: 200, body: "{}" };
    await admin(["endpoint", "show", "--endpoint", "../keys?x=1"]);
    expect(asked[0]?.path).toBe("/v1/endpoints/..%2Fkeys%3Fx%3D1");
  });
});

describe("a refusal", () => {
  it("names each wrong field by the option that sets it", async () => {
    const errors = [
      { field: "inferenceRoutes", message: '"x" is neither this nor that' },
      { field: "bodyMaxBytes", message: "Too big: expected number to be <=1" },
      { field: "type", message: "must be another one" },
      { field: "elsewhere.0", message: "is wrong" },
    ];
    answer = problem(400, { detail: "four are wrong", code: "not_conforming", errors });
    await expect(admin(["endpoint", "create", "--slug", "ocr"])).rejects.toMatchObject({
      code: 1,
      stdout: "",
      stderr: [
        '--openai-routes "x" is neither this nor that',
        "--body-max-mib: Too big: expected number to be <=1",
        "--kind must be another one",
        "elsewhere.0 is wrong",
        "",
      ].join("\n"),
    });
  });

  it("of one field names its option", async () => {
    answer = problem(400, { detail: "waitingMax: must be less", code: "invalid", field: "waitingMax" });
    const set = admin(["tenant", "set", "--tenant", "t", "--waiting-max", "7"]);
    await expect(set).rejects.toMatchObject({ stderr: "--waiting-max must be less\n" });
  });

  it("of the whole call is its own sentence", async () => {
    answer = problem(409, { detail: "it is the last one", code: "conflict" });
    await expect(admin(["key", "revoke", "--id", "x"])).rejects.toMatchObject({ stderr: "it is the last one\n" });
  });

  it("by a broker of another release says so", async () => {
    answer = problem(404, {
      detail: "no such route: check the path, in which an id may be missing",
      code: "not_found",
    });
    await expect(admin(["rates", "list"])).rejects.toMatchObject({
      stderr: `the broker at ${url} has no GET /v1/rates: it is of another release\n`,
    });
  });

  it.each([
    ["a page of a web server", { status: 200, body: "<html>" }],
    ["an error without a sentence", { status: 502, body: "oops" }],
  ])("by what is no broker says so: %s", async (_name, given) => {
    answer = given;
    await expect(admin(["whoami"])).rejects.toMatchObject({
      stderr: `${url} answered ${given.status} to GET /v1/me: is that the address of a broker?\n`,
    });
  });
});

describe("an answer", () => {
  it("of a change that the broker does not have yet says when it will, and a warning is shown", async () => {
    answer = { status: 200, body: JSON.stringify({ id: "up-1", slots: 2, applied: false, warning: "It is short." }) };
    const printed = await admin(["upstream", "set", "--endpoint", "ocr", "--upstream", "up-1", "--slots", "2"]);
    expect(printed).toEqual({
      stdout: "id: up-1\nslots: 2\n",
      stderr: "It is short.\nStored. The endpoint's broker did not answer: it has the change within 5 min.\n",
    });
  });

  it("with the environment of a worker is printed also where the broker does not have its key yet", async () => {
    const form = { lines: ["RUNPOD_AI_API_KEY=wb_live_x"], hint: "docker run IMAGE" };
    answer = { status: 201, body: JSON.stringify({ applied: false, forms: { docker: form } }) };
    const args = ["src/cli/worker-env.ts", "ocr", "--tier", "l4", "--format", "docker"];
    const env = { ...process.env, WAYBILL_URL: url, WAYBILL_KEY: "wb_key" };
    expect(await promisify(execFile)(process.execPath, args, { cwd: PROJECT_FOLDER, env })).toEqual({
      stdout: "RUNPOD_AI_API_KEY=wb_live_x\n",
      stderr: "docker run IMAGE\nStored. The endpoint's broker did not answer: it has the change within 5 min.\n",
    });
    expect(JSON.parse(asked[0]?.body ?? "")).toEqual({ base: url, tier: "l4" });
  });

  it("has no character that commands the terminal, whatever a tenant has called its things", async () => {
    const keys = [{ id: "k", name: "\u001b]0;title\u0007\nroot\u009b2J" }];
    answer = { status: 200, body: JSON.stringify({ keys }) };
    const { stdout } = await admin(["key", "list"]);
    expect(stdout.split("\n")).toHaveLength(3);
    expect(stdout).toContain("\\u001b]0;title\\u0007\\u000aroot\\u009b2J");
    const asJson = (await admin(["key", "list", "--json"])).stdout;
    expect(JSON.parse(asJson)).toEqual({ keys });
    answer = problem(409, { detail: "taken by \u009b2J", code: "conflict" });
    const refused = await admin(["key", "list"]).catch((error: { stderr: string }) => error);
    for (const text of [stdout, asJson, refused.stderr]) expect(text.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
  });

  it("as JSON is all of it", async () => {
    const whole = { id: "up-1", applied: false, hasCredential: true };
    answer = { status: 200, body: JSON.stringify(whole) };
    const printed = await admin(["upstream", "set", "--endpoint", "o", "--upstream", "u", "--slots", "2", "--json"]);
    expect(JSON.parse(printed.stdout)).toEqual(whole);
  });

  it("of a step of many says how to go on, and the next one begins there", async () => {
    const step = { delivered: 1, failed: 19, remaining: 7, pagination: { hasNextPage: true, nextCursor: "MjA" } };
    answer = { status: 200, body: JSON.stringify(step) };
    const first = await admin(["webhook", "redeliver", "--all"]);
    expect(first.stdout).toBe("delivered: 1\nfailed: 19\nremaining: 7\n");
    expect(first.stderr).toContain("There are more: --all --cursor MjA");
    await admin(["webhook", "redeliver", "--all", "--cursor", "MjA"]);
    expect(asked.map(({ body }) => body)).toEqual(["{}", '{"cursor":"MjA"}']);
    await expect(admin(["webhook", "redeliver", "--id", "msg_1", "--cursor", "MjA"])).rejects.toMatchObject({
      code: 2,
    });
  });

  it("counts the pages of an overview that are not shown", async () => {
    const pagination = { hasNextPage: true, nextCursor: "n" };
    answer = {
      status: 200,
      body: JSON.stringify({ scopes: ["admin"], tenants: [], endpoints: [], keys: [], pagination }),
    };
    const { stderr } = await admin(["list"]);
    expect(stderr).toContain(
      "endpoints: more than 9 more pages of up to 100; npm run admin -- endpoint list shows them by --cursor.",
    );
  });
});

it("without a broker a command says how to get one, and asks nobody", async () => {
  const state = join(tmpdir(), "waybill-no-such-state");
  await expect(admin(["list", "--state", state])).rejects.toMatchObject({
    code: 3,
    stderr: `no broker runs on the state in ${state}: npm start starts one, and --broker URL (or WAYBILL_URL) names a deployed one, which npm run admin -- login keeps\n`,
  });
  expect(asked).toEqual([]);
});
