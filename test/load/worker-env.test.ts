// The environment of a worker as `npm run worker:env` prints it: read by a real shell, and bound to what the database holds.
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { createEndpoint, createTenant, createWorkerKey } from "../../src/cli/admin-create.ts";
import { parseApiKey } from "../../src/core/access/api-key.ts";
import { inForm } from "../../src/core/manage/worker-forms.ts";
import { makeOperator, type Printed } from "./operator.ts";

const environmentSchema = z.record(z.string(), z.string());
const NAMES = [
  "RUNPOD_WEBHOOK_GET_JOB",
  "RUNPOD_WEBHOOK_POST_OUTPUT",
  "RUNPOD_WEBHOOK_POST_STREAM",
  "RUNPOD_WEBHOOK_PING",
  "RUNPOD_PING_INTERVAL",
  "RUNPOD_AI_API_KEY",
  "RUNPOD_ENDPOINT_ID",
];
const { context, pepper, rowsOf, ...operator } = makeOperator();
let tenantId: string;
let endpointId: string;

beforeAll(async () => {
  ({ tenantId } = await createTenant(context, { name: "Workers" }));
  ({ endpointId } = await createEndpoint(context, { tenantId, slug: "ocr" }));
}, 60_000);

afterAll(() => {
  operator.discard();
});

function workerEnv(...words: string[]): Promise<Printed> {
  return operator.run("worker-env.ts", words);
}

/** What a worker sees that a real `sh` starts after it has read the lines, once for each of `times`. */
function source(lines: string, times = 1): Record<string, string>[] {
  const show = `"$NODE" -p 'JSON.stringify(process.env)'`;
  const script = Array.from({ length: times }, () => `${lines}\n${show}`).join("\n");
  const printed = execFileSync("sh", ["-eu", "-c", script], {
    env: { NODE: process.execPath, PATH: "/usr/bin:/bin", ID: "expanded" },
    encoding: "utf8",
  });
  const environments = printed.trim().split("\n");
  return environments.map((line) => environmentSchema.parse(JSON.parse(line)));
}

/** The pairs of an env-file as docker reads it: what follows the first `=` is the value, as it stands. */
function readEnvFile(text: string): [string, string][] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]);
}

function versionOf(id: string): unknown {
  return rowsOf(`SELECT version FROM endpoints WHERE id = '${id}'`)[0]?.version;
}

describe("the forms of a worker's environment", () => {
  const place = { base: "https://gpu.example", endpointId: "0123456789abcdef", key: "wb_live_k", gpu: "RTX 4090" };
  const pingOf = (base: string) => `${base}/v2/0123456789abcdef/ping/$RUNPOD_POD_ID?gpu=RTX+4090`;

  it("give a shell a value with a quote in it whole", () => {
    const base = "https://gpu.example/bob's/'broker";
    const { lines } = inForm("sh", { ...place, base });
    expect(source(lines.join("\n"))[0]).toMatchObject({ RUNPOD_WEBHOOK_PING: pingOf(base) });
  });

  it("give docker bare lines, one a variable, and the command beside them", () => {
    const { lines, hint } = inForm("docker", place);
    const pairs = readEnvFile(lines.join("\n"));
    expect(pairs.map(([name]) => name)).toEqual(NAMES);
    expect(lines.join("\n")).not.toMatch(/["' ]/);
    expect(Object.fromEntries(pairs).RUNPOD_WEBHOOK_PING).toBe(pingOf(place.base));
    const fresh = '"$(cat /proc/sys/kernel/random/uuid)"';
    expect(hint).toBe(`docker run --rm --gpus all --env-file worker.env -e RUNPOD_POD_ID=${fresh} IMAGE`);
  });

  it("let a container reach a broker on its own machine", () => {
    for (const base of ["http://127.0.0.1:8787", "http://localhost:8787", "http://[::1]:8787"])
      expect(inForm("docker", { ...place, base }).hint).toContain(" --network host ");
  });

  it("give a console's form the same names and values", () => {
    const { lines, hint } = inForm("fields", place);
    const pairs = lines.map((line) => line.split(/ +/));
    expect(pairs.map(([name]) => name)).toEqual(NAMES);
    expect(pairs.map(([, value]) => value)).toContain(pingOf(place.base));
    expect(hint).toContain("Each machine needs a RUNPOD_POD_ID of its own");
  });
});

describe("npm run worker:env", { timeout: 60_000 }, () => {
  it("gives a shell addresses whose tokens reach the worker as they are, and each worker an id of its own", async () => {
    const { stdout } = await workerEnv("ocr", "--tier", "l4", "--gpu", "Bob's RTX $ID", "--format", "sh");
    const [first, second] = source(stdout, 2);
    const endpoint = `http://127.0.0.1:8787/v2/${endpointId}`;
    expect(first).toMatchObject({
      RUNPOD_WEBHOOK_GET_JOB: `${endpoint}/job-take/$ID?gpu=Bob%27s+RTX+%24ID`,
      RUNPOD_WEBHOOK_POST_OUTPUT: `${endpoint}/job-done/$RUNPOD_POD_ID/$ID?gpu=Bob%27s+RTX+%24ID`,
      RUNPOD_WEBHOOK_POST_STREAM: `${endpoint}/job-stream/$RUNPOD_POD_ID/$ID?gpu=Bob%27s+RTX+%24ID`,
      RUNPOD_WEBHOOK_PING: `${endpoint}/ping/$RUNPOD_POD_ID?gpu=Bob%27s+RTX+%24ID`,
      RUNPOD_PING_INTERVAL: "10000",
      RUNPOD_ENDPOINT_ID: endpointId,
      RUNPOD_POD_ID: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(second).toEqual({ ...first, RUNPOD_POD_ID: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect(second?.RUNPOD_POD_ID).not.toBe(first?.RUNPOD_POD_ID);
  });

  it("prints all three forms under headings when none is named, with one key", async () => {
    const { stdout } = await workerEnv("ocr", "--tier", "l4", "--base", "https://gpu.example/");
    expect(stdout.match(/^== \w+/gm)).toEqual(["== docker", "== sh", "== fields"]);
    expect(stdout.match(/https:\/\/gpu\.example\/v2\//g)).toHaveLength(12);
    expect(new Set(stdout.match(/wb_live_\w+/g)).size).toBe(1);
  });

  it("binds the key to the endpoint and to its price, keeps only a digest, and raises the version", async () => {
    const made = await createEndpoint(context, { tenantId, slug: "bound" });
    const price = ["--tier", "h100-pro", "--rate", "active", "--slots", "4"];
    const { stdout, stderr } = await workerEnv("bound", ...price, "--name", "rack 7", "--format", "docker");
    const key = Object.fromEntries(readEnvFile(stdout)).RUNPOD_AI_API_KEY ?? "";
    const id = parseApiKey(key)?.id ?? "";
    const rows = rowsOf(`SELECT * FROM api_keys WHERE endpoint_id = '${made.endpointId}'`);
    expect(rows).toEqual([
      {
        id,
        tenant_id: tenantId,
        digest: createHmac("sha256", pepper).update(key).digest("hex"),
        scopes: "worker",
        name: "rack 7",
        created_at: expect.any(Number),
        expires_at: null,
        revoked_at: null,
        endpoint_id: made.endpointId,
        tier: "h100-pro",
        rate_kind: "active",
        slots: 4,
        endpoint_ids: null,
        version: 1,
      },
    ]);
    expect(stderr).toContain('-e RUNPOD_POD_ID="$(cat /proc/sys/kernel/random/uuid)" IMAGE');
    expect(versionOf(made.endpointId)).toBe(2);
  });

  it("lists a key with its price, and tells the broker's side when it is revoked", async () => {
    const made = await createEndpoint(context, { tenantId, slug: "revoked" });
    const price = { tier: "h100-pro", rateKind: "active", slots: 4 } as const;
    const { keyId: id } = await createWorkerKey(context, { endpointId: made.endpointId, name: "rack 8", ...price });
    const listed = await operator.run("admin.ts", ["list"]);
    expect(JSON.parse(listed.stdout).keys).toContainEqual(
      expect.objectContaining({ id, endpoint_id: made.endpointId, tier: "h100-pro", rate_kind: "active", slots: 4 }),
    );
    const revoked = await operator.run("admin.ts", ["key", "revoke", "--id", id]);
    expect(revoked).toMatchObject({ stdout: `endpointId: ${made.endpointId}\n` });
    expect(revoked.stderr).toContain("within 5 min");
    expect(versionOf(made.endpointId)).toBe(3);
    expect(rowsOf(`SELECT revoked_at FROM api_keys WHERE id = '${id}'`)).toEqual([{ revoked_at: expect.any(Number) }]);
  });

  it("tells a running broker at once when it knows where it is", async () => {
    const told: unknown[] = [];
    const server = createServer(async (request, response) => {
      const body = (await request.setEncoding("utf8").toArray()).join("");
      told.push({ path: request.url, authorization: request.headers.authorization, body: JSON.parse(body) });
      response.end("{}");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = z.object({ port: z.number() }).parse(server.address());
    const words = ["ocr", "--tier", "l4", "--broker", `http://127.0.0.1:${address.port}`, "--format", "sh"];
    await operator.run("worker-env.ts", words, { WAYBILL_KEY: "wb_admin" });
    server.close();
    expect(told).toEqual([{ path: "/v1/admin/configure", authorization: "Bearer wb_admin", body: { endpointId } }]);
  });

  it("prints the key all the same when the broker cannot be told, and says so", async () => {
    const words = ["ocr", "--tier", "l4", "--broker", "http://127.0.0.1:9", "--format", "docker"];
    await expect(operator.run("worker-env.ts", words, { WAYBILL_KEY: "wb_admin" })).rejects.toMatchObject({
      code: 1,
      stdout: expect.stringContaining("RUNPOD_AI_API_KEY=wb_live_"),
      stderr: expect.stringContaining("written, but http://127.0.0.1:9 cannot be told"),
    });
  });

  it("says in one sentence what is wrong, and makes no key then", async () => {
    const tiers = "a4000, 4090-pro, l4, a6000, l40s, a100, h100-pro, h200-pro, b200";
    const before = rowsOf("SELECT count(*) AS keys FROM api_keys");
    const rows: [string, string][] = [
      ["nowhere --tier l4", "there is no endpoint with the id or slug nowhere"],
      ["ocr", `--tier is missing, which sets the price: ${tiers}`],
      ["ocr --tier l5", `there is no tier l5; there are ${tiers}`],
      ["ocr --tier l4 --rate spot", "--rate must be one of flex, active"],
      ["ocr --tier l4 --slots 0", "--slots must be a whole number from 1 to 1000"],
      ["ocr --tier l4 --format yaml", "--format must be one of docker, sh, fields"],
      ["ocr --tier l4 --base gpu.example", "--base must be an http(s): URL"],
      [
        "ocr --tier l4 --base http://gpu.example/?a=1",
        "--base must be an address without a user, a query or a fragment",
      ],
      ["ocr --tier l4 --remote", "--base is missing: the public URL of the deployment"],
      ["ocr --tier l4 --remote --base http://gpu.example", "--base must be an https: URL: each call carries the key"],
      ["ocr --tier l4 --local --remote --base https://gpu.example", "--local or --remote, not both"],
      ["ocr asr --tier l4", "one endpoint at a time, not ocr and asr"],
    ];
    // One after the other: two at once on one local database can find it locked.
    for (const [words, sentence] of rows) {
      await expect(workerEnv(...words.split(" ")), words).rejects.toMatchObject({
        code: 1,
        stdout: "",
        stderr: `${sentence}\n`,
      });
    }
    await expect(workerEnv("ocr", "--bogus")).rejects.toMatchObject({
      stderr: expect.stringMatching(/^Unknown option '--bogus'.*\n$/),
    });
    expect(rowsOf("SELECT count(*) AS keys FROM api_keys")).toEqual(before);
  });
});
