// The environment of a worker as `npm run worker:env` prints it: read by a real shell, and bound to what the database holds.
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { ensureDevSecrets } from "../../src/cli/dev-secrets.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { parseApiKey } from "../../src/core/access/api-key.ts";
import { inForm } from "../../src/core/manage/worker-forms.ts";
import { type Operator, type Printed, startOperator } from "./operator.ts";

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
let operator: Operator;
let endpointId: string;

beforeAll(async () => {
  operator = await startOperator({ ocr: {} });
  endpointId = (await operator.json("endpoint show --endpoint ocr")).id;
}, 120_000);

afterAll(() => operator?.stop());

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
  return operator.rowsOf(`SELECT version FROM endpoints WHERE id = '${id}'`)[0]?.version;
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
    const endpoint = `${operator.broker.url}/v2/${endpointId}`;
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
    const made = await operator.json("endpoint create --slug bound");
    const price = ["--tier", "h100-pro", "--rate", "active", "--slots", "4"];
    const { stdout, stderr } = await workerEnv("bound", ...price, "--name", "rack 7", "--format", "docker");
    const key = Object.fromEntries(readEnvFile(stdout)).RUNPOD_AI_API_KEY ?? "";
    const id = parseApiKey(key)?.id ?? "";
    const pepper = ensureDevSecrets(PROJECT_FOLDER).get("PEPPER") ?? "";
    expect(operator.rowsOf(`SELECT * FROM api_keys WHERE endpoint_id = '${made.id}'`)).toEqual([
      {
        id,
        tenant_id: made.tenantId,
        digest: createHmac("sha256", pepper).update(key).digest("hex"),
        scopes: "worker",
        name: "rack 7",
        created_at: expect.any(Number),
        expires_at: null,
        revoked_at: null,
        endpoint_id: made.id,
        tier: "h100-pro",
        rate_kind: "active",
        slots: 4,
        endpoint_ids: null,
        version: 1,
      },
    ]);
    expect(stderr).toContain('-e RUNPOD_POD_ID="$(cat /proc/sys/kernel/random/uuid)" IMAGE');
    expect(versionOf(made.id)).toBe(2);
  });

  it("makes a key that fetches a job at once, is listed with its price, and fetches none once it is revoked", async () => {
    const made = await operator.json("endpoint create --slug fetched");
    const price = ["--tier", "h100-pro", "--rate", "active", "--slots", "4"];
    const { stdout } = await workerEnv("fetched", ...price, "--name", "rack 8", "--format", "docker");
    const { RUNPOD_WEBHOOK_GET_JOB: address = "", RUNPOD_AI_API_KEY: key = "" } = Object.fromEntries(
      readEnvFile(stdout),
    );
    const take = () => fetch(address.replaceAll("$ID", "worker-1"), { headers: { authorization: `Bearer ${key}` } });
    const submit = async () => (await operator.broker.call("/v2/fetched/run", '{"input":{"n":1}}')).json();
    await submit();
    const taken = await take();
    expect([taken.status, await taken.json()]).toEqual([200, expect.objectContaining({ input: { n: 1 } })]);
    const id = parseApiKey(key)?.id ?? "";
    const { workerKeys } = await operator.json("worker-key list --endpoint fetched");
    expect(workerKeys).toMatchObject([{ id, endpointId: made.id, tier: "h100-pro", rateKind: "active", slots: 4 }]);
    const revoked = await operator.admin(`worker-key revoke --endpoint fetched --id ${id}`);
    expect(revoked).toEqual({ stdout: `worker key ${id} is revoked: its workers get no more jobs\n`, stderr: "" });
    await submit();
    expect((await take()).status).toBe(401);
    expect(versionOf(made.id)).toBe(3);
    const rows = operator.rowsOf(`SELECT revoked_at FROM api_keys WHERE id = '${id}'`);
    expect(rows).toEqual([{ revoked_at: expect.any(Number) }]);
  });

  it("makes no worker key for a load-balanced endpoint, whose workers do not pull", async () => {
    await operator.admin("endpoint create --slug balanced --kind load_balancer");
    await expect(workerEnv("balanced", "--tier", "l4")).rejects.toMatchObject({
      stderr: expect.stringMatching(/^[^\n]*load-balanced[^\n]*upstream[^\n]*\n$/),
      stdout: "",
      code: 1,
    });
  });

  it("says in one sentence what is wrong, and makes no key then", async () => {
    const tiers = "a4000, 4090-pro, l4, a6000, l40s, a100, h100-pro, h200-pro, b200";
    const keys = () => operator.rowsOf("SELECT count(*) AS keys FROM api_keys");
    const before = keys();
    const rows: [string, 1 | 2 | 5, string][] = [
      ["nowhere --tier l4", 5, "there is no endpoint nowhere; there are "],
      ["ocr", 2, `--tier is missing, which sets the price: ${tiers}\n`],
      ["ocr --tier l5", 1, tiers],
      ["ocr --tier l4 --rate spot", 2, "--rate must be one of flex, active\n"],
      ["ocr --tier l4 --slots 0", 2, "--slots must be a whole number from 1 to 1000\n"],
      ["ocr --tier l4 --format yaml", 2, "--format must be one of docker, sh, fields\n"],
      ["ocr --tier l4 --base gpu.example", 1, "--base must be an http(s): URL\n"],
      [
        "ocr --tier l4 --base http://gpu.example/?a=1",
        1,
        "--base must be an address without a user, a query or a fragment\n",
      ],
      [
        "ocr --tier l4 --remote",
        2,
        "worker-env speaks to a broker, not to a database: --broker URL in place of --remote\n",
      ],
      ["ocr asr --tier l4", 2, "worker-env takes one endpoint, not ocr and asr\n"],
      ["ocr --bogus", 2, "Unknown option '--bogus'"],
    ];
    for (const [words, code, sentence] of rows) {
      const run = workerEnv(...words.split(" "));
      await expect(run, words).rejects.toMatchObject({ code, stdout: "", stderr: expect.stringContaining(sentence) });
      await expect(run, words).rejects.toMatchObject({ stderr: expect.stringMatching(/^[^\n]+\n$/) });
    }
    expect(keys()).toEqual(before);
  });
});
