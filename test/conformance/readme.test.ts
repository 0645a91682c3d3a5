// The snippets of README.md and docs/using.md, cut out of the text and run as they stand, but for the address of the broker.
import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { type MockWorker, startMockWorker } from "../running/mock-worker.ts";
import { takePort } from "../running/port.ts";
import { describePython } from "./python-worker.ts";

const run = promisify(execFile);
const INPUT = { image: "cGljdHVyZQ==" };

/** A block of this language in a section of a document: the first, or one after it. */
function snippet(file: string, heading: string, language: string, index = 0): string {
  const [, section = ""] = readFileSync(join(PROJECT_FOLDER, file), "utf8").split(`\n## ${heading}\n`);
  const blocks = (section.split("\n## ")[0] ?? "").matchAll(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``, "g"));
  const code = [...blocks][index]?.[1];
  if (code === undefined) throw new Error(`${file} has no ${language} below ${heading}`);
  return code;
}

let worker: MockWorker;
let broker: RunningBroker;
/** As the project's folder is while `npm start` is up: the request of the first job, and the packages. */
let folder: string;

beforeAll(async () => {
  worker = await startMockWorker(async (body) => JSON.stringify({ echo: JSON.parse(body.toString()).input }));
  broker = await startBroker({ ocr: { url: worker.url, dialect: "http", slots: 4, credential: null } });
  folder = mkdtempSync(join(tmpdir(), "waybill-readme-"));
  mkdirSync(join(folder, ".waybill", "dev"), { recursive: true });
  writeFileSync(join(folder, ".waybill", "dev", "request.json"), JSON.stringify({ input: INPUT }));
  symlinkSync(join(PROJECT_FOLDER, "node_modules"), join(folder, "node_modules"));
});

afterAll(async () => {
  await broker?.stop();
  await worker?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** What a snippet of the README prints, which is the first client's output. */
async function printedBy(command: string, words: readonly string[], language: string, flag: string): Promise<string> {
  const code = snippet("README.md", "Point your client at it", language).replaceAll(
    "http://127.0.0.1:8787",
    broker.url,
  );
  const env = { PATH: process.env.PATH ?? "", HOME: folder, KEY: broker.key };
  return (await run(command, [...words, flag, code], { cwd: folder, env, timeout: 60_000 })).stdout;
}

describe("a client of the README", () => {
  it("in JavaScript runs a job", async () => {
    const printed = await printedBy(process.execPath, ["--input-type=module"], "js", "--eval");
    expect(printed).toContain("status: 'COMPLETED'");
    expect(printed).toContain(INPUT.image);
  });

  it("of curl runs a job", async () => {
    expect(JSON.parse(await printedBy("sh", [], "sh", "-c"))).toMatchObject({
      status: "COMPLETED",
      output: { echo: INPUT },
    });
  });
});

it("by the calls of the README a tenant is made with a key, an endpoint, its workers and a first job, which is billed", async () => {
  const port = String(await takePort());
  const setUp = snippet("README.md", "Manage it by API", "sh").replace("export KEY=…\n", "");
  const usage = snippet("README.md", "Manage it by API", "sh", 1);
  // The second snippet is for some moments later, as the text between them says. `$!` is the worker that the first one starts.
  const script = `trap 'kill $!' EXIT\nset -e\n${setUp}\nuntil ${usage.trim()} | grep amountDollars; do sleep 0.1; done\n`;
  const here = script.replaceAll("9100", port).replaceAll("http://127.0.0.1:8787", broker.url);
  const env = { ...process.env, KEY: broker.key };
  const { stdout, stderr } = await run("sh", ["-c", here], { cwd: folder, env, timeout: 60_000 });
  expect(stderr).toBe("");
  const answers = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const endpoint = { slug: "echo", type: "QUEUE", tenantId: expect.stringMatching(/^ten-/) };
  const upstream = { url: `http://127.0.0.1:${port}`, applied: true };
  const environment = { applied: true, variables: { RUNPOD_ENDPOINT_ID: answers[0].id } };
  const job = { status: "COMPLETED", output: { input: "hello" }, workerId: answers[1].id };
  const workers = { workers: [{ id: answers[1].id, kind: "push" }], summary: { total: 1 } };
  const bill = { lines: [{ jobId: answers[3].id, amountDollars: "0.000040000" }], totalDollars: "0.000040000" };
  expect(answers).toMatchObject([endpoint, upstream, environment, job, workers, bill]);
});

describePython("a client of the README in Python", (interpreters) => {
  it("runs a job", async () => {
    expect(await printedBy(interpreters.newest, [], "python", "-c")).toContain(`{'echo': {'image': '${INPUT.image}'}}`);
  });
});

it("the receiver of docs/using.md takes what is signed and refuses anything else", async () => {
  const port = await takePort();
  const code = snippet("docs/using.md", "Verify a webhook", "js").replace("9001", String(port));
  const secret = `whsec_${Buffer.from("a secret of a test, long enough").toString("base64")}`;
  const env = { ...process.env, WEBHOOK_SECRET: secret };
  const receiver = spawn(process.execPath, ["--input-type=module", "--eval", code], { cwd: folder, env });
  try {
    const send = async (signedWith: string) => {
      const body = '{"id":"job-u1","status":"COMPLETED"}';
      const at = new Date();
      const headers = {
        "webhook-id": "msg-1",
        "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
        "webhook-signature": new Webhook(signedWith).sign("msg-1", at, body),
      };
      return (await fetch(`http://127.0.0.1:${port}/`, { method: "POST", headers, body })).status;
    };
    await vi.waitFor(async () => expect(await send(secret)).toBe(204), { timeout: 10_000, interval: 50 });
    expect(await send(`whsec_${Buffer.from("another secret, as long as that").toString("base64")}`)).toBe(401);
  } finally {
    receiver.kill();
  }
});
