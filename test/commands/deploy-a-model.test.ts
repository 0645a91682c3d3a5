// Every command of docs/deploy-a-model.md, cut out of the text and typed in a shell: from an empty folder to a billed job.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { signalGroup } from "../../src/cli/dev-processes.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { commandsOf } from "./documented-blocks.ts";
import { FakeDocker } from "./fake-docker.ts";
import { type Operator, startOperator } from "./operator.ts";

const FILE = "docs/deploy-a-model.md";
/** With a space, as in the paths of many people. */
const root = mkdtempSync(join(tmpdir(), "deploy a model "));
const project = join(root, "my-model");
const tarball = join(PROJECT_FOLDER, "waybill-0.1.0.tgz");
const sections = commandsOf(FILE);
const typed = new Set<string>();
const docker = new FakeDocker();
const children: ChildProcess[] = [];
let operator: Operator;

beforeAll(async () => {
  operator = await startOperator();
}, 120_000);

afterAll(async () => {
  for (const { pid } of children) if (pid !== undefined) signalGroup(pid, "SIGKILL");
  await operator?.stop();
  docker.discard();
  for (const path of [root, tarball]) rmSync(path, { recursive: true, force: true });
});

/** A newcomer's environment: nothing of npm's is handed down, and the key is there for whoever asks for it. */
const environment = () => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.toLowerCase().startsWith("npm_"))),
  ...docker.environment,
  HOME: root,
  XDG_CONFIG_HOME: join(root, "config"),
  WAYBILL: PROJECT_FOLDER,
});

interface Typing {
  readonly folder?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What stands in place of words of the document. */
  readonly words?: Readonly<Record<string, string>>;
  /** What is typed at a terminal into a command that asks. */
  readonly answer?: string;
}

/** Types a block as a person does, who stops where a line fails. */
async function type(heading: string, index: number, { folder = project, env = {}, words = {}, answer }: Typing = {}) {
  typed.add(`${heading} ${index}`);
  const code = sections.get(heading)?.[index];
  if (code === undefined) throw new Error(`${FILE} has no such commands: ${heading} ${index}`);
  const place = { "http://127.0.0.1:8787": operator.broker.url, ...words };
  const filled = Object.entries(place).reduce((line, [word, value]) => line.replaceAll(word, value), code);
  const shell = ["bash", "-c", `set -e\n${filled}`];
  const [program = "", ...args] =
    answer === undefined ? shell : ["script", "--quiet", "--return", "--command", filled.trim(), "/dev/null"];
  // A group of its own, so that what a block leaves running in the background can be ended.
  const child = spawn(program, args, { cwd: folder, env: { ...environment(), ...env }, detached: true });
  children.push(child);
  // A command that asks for nothing may have ended before this is written.
  child.stdin.on("error", () => undefined);
  child.stdin.end(answer ?? "");
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  expect(await ended, `${filled}\n${code.includes(" &\n") ? "" : (await output).join("\n")}`).toBe(0);
  return code.includes(" &\n") ? "" : (await output)[0];
}

// Each step stands on the one before it.
describe("from nothing to a billed endpoint", { timeout: 120_000 }, () => {
  it("makes the package, and a worker whose tests pass", async () => {
    // The packages of the checkout are there, as these tests run from them.
    await type("1. A broker and the package", 0, { folder: PROJECT_FOLDER, words: { "npm install\n": "" } });
    await type("2. A worker", 0, { folder: root, env: { npm_config_offline: "true" } });
    expect(existsSync(join(project, "waybill.json"))).toBe(true);
  });

  it("runs it beside the deployed endpoint while it is written", async () => {
    await type("3. Try it", 0, { env: { WAYBILL_KEY: operator.broker.key } });
    const dev = spawn("npx", ["waybill", "dev"], { cwd: project, env: environment(), detached: true });
    children.push(dev);
    let printed = "";
    for (const stream of [dev.stdout, dev.stderr]) stream.on("data", (chunk) => (printed += chunk));
    await expect.poll(() => printed, { timeout: 30_000 }).toContain("run my-model-dev");
    const said = await type("3. Try it", 1);
    expect(JSON.parse(said.slice(0, said.indexOf("\n}") + 2))).toMatchObject({ language: "en" });
    const ended = new Promise((resolve) => dev.once("exit", resolve));
    // Ctrl-C reaches every process of the terminal's foreground group.
    signalGroup(dev.pid ?? 0, "SIGINT");
    await ended;
  });

  it("deploys it: the image, and the endpoint with the worker's schema", async () => {
    const [json = ""] = /^```json\n[\s\S]*?^```/m.exec(readFileSync(join(PROJECT_FOLDER, FILE), "utf8")) ?? [];
    writeFileSync(join(project, "waybill.json"), json.replace(/^```.*$/gm, ""));
    await type("4. Deploy it", 0, { answer: "yes\n" });
    const [built = "", pushed = ""] = docker.calls();
    expect(built).toContain("build --platform linux/amd64 --tag ghcr.io/you/my-model:");
    const [, TAG = ""] = /^push ghcr\.io\/you\/my-model:(\S+)/.exec(pushed) ?? [];
    await type("4. Deploy it", 1, { words: { TAG } });
    const bad = await operator.broker.call("/v2/my-model/run", '{"input":{"text":5}}');
    expect([bad.status, await bad.text()]).toEqual([400, expect.stringContaining("text")]);
  });

  it("runs a job on a worker with the endpoint's environment, and bills it", async () => {
    await type("5. Start workers", 0);
    await type("5. Start workers", 1);
    const shown = await type("6. Call it, and read the bill", 0);
    expect(shown).toContain('"language": "de"');
    expect(shown).toMatch(/ pull +a4000/);
    expect(shown).toContain("COMPLETED");
    const bill = async () => (await (await operator.broker.call("/v1/usage?endpoint=my-model")).json()).lines;
    await expect.poll(bill, { timeout: 5_000 }).toEqual([expect.objectContaining({ tier: "a4000", seconds: 1 })]);
    const key = /^key: (wb_live_\S+)$/m.exec(await type("6. Call it, and read the bill", 1))?.[1];
    const answer = await fetch(`${operator.broker.url}/v2/my-model/runsync`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}` },
      body: '{"input":{"text":"The cat is on the roof"}}',
    });
    expect(await answer.json()).toMatchObject({ status: "COMPLETED", output: { language: "en" } });
  });

  it("leaves no block out", () => {
    const all = [...sections].flatMap(([heading, blocks]) => blocks.map((_block, index) => `${heading} ${index}`));
    expect([...typed].sort()).toEqual(all.sort());
  });
});
