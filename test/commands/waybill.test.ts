// The command `waybill` of the npm package, installed as its users have it: logged in to a real broker, with a real worker.
import { execFile, execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { takePort } from "../running/port.ts";
import { InstalledPackage, NODES } from "./installed-package.ts";
import { type Operator, type Printed, startOperator } from "./operator.ts";

const installed = new InstalledPackage();
const WORKER = `
import { start } from "waybill/worker";

await start({
  async *handler({ input }) {
    if (input.wrong) throw new Error("the handler failed");
    for (const word of input.words) yield word;
  },
  returnAggregateStream: true,
});
`;

let operator: Operator;
let project: string;
let config: string;

/** Runs the installed command in the project's folder, with a Node. */
function waybill(words: readonly string[], env: Readonly<Record<string, string>> = {}, node = process.execPath) {
  const command = join(installed.home, "node_modules/.bin/waybill");
  const running = promisify(execFile)(node, [command, ...words], {
    cwd: project,
    env: { PATH: process.env.PATH, HOME: installed.folder, XDG_CONFIG_HOME: config, ...env },
  });
  running.child.stdin?.end();
  return running;
}

const json = async (words: readonly string[]) => JSON.parse((await waybill([...words, "--json"])).stdout);
const refused = (words: readonly string[], env = {}): Promise<Printed & { code: number }> =>
  waybill(words, env).then(
    () => Promise.reject(new Error(`${words.join(" ")} was done`)),
    (error) => error,
  );

beforeAll(async () => {
  operator = await startOperator({ words: { workers: {} } });
  project = join(installed.folder, "a project");
  config = join(installed.folder, "config");
  mkdirSync(project);
  writeFileSync(join(project, "waybill.json"), JSON.stringify({ endpoint: "words" }));
  writeFileSync(join(project, "test_input.json"), JSON.stringify({ input: { words: ["from", "the", "file"] } }));
}, 120_000);

afterAll(() => operator?.stop());

describe("without a broker", () => {
  it("asks for one by name, and ends with 3", async () => {
    const ended = await refused(["whoami"]);
    expect(ended).toMatchObject({ code: 3, stdout: "" });
    expect(ended.stderr).toBe(
      "no broker is named: --broker URL (or WAYBILL_URL) names a deployed one, which npx waybill login keeps\n",
    );
  });

  it("ends with 3 where none answers, as a line of JSON for scripts", async () => {
    const place = { WAYBILL_URL: `http://127.0.0.1:${await takePort()}`, WAYBILL_KEY: "wb_live_x" };
    const ended = await refused(["workers", "--json"], place);
    expect(ended.code).toBe(3);
    expect(JSON.parse(ended.stderr)).toEqual({ error: expect.stringContaining("no broker answers at"), exitCode: 3 });
  });
});

describe("login", () => {
  it("refuses a key that the broker refuses, and keeps none", async () => {
    const ended = await refused(["login", "--broker", operator.broker.url], { WAYBILL_KEY: "wb_live_x" });
    expect(ended).toMatchObject({ code: 4, stderr: expect.stringContaining("refuses the key") });
    expect(await refused(["whoami"])).toMatchObject({ code: 3 });
  });

  it("ends with 4 where there is no key, or what no key can be, and prints none of it", async () => {
    const words = ["login", "--broker", operator.broker.url];
    expect(await refused(words)).toMatchObject({ code: 4, stderr: "WAYBILL_KEY is not set\n" });
    for (const rest of ["\nof-it", "… of it"]) {
      const ended = await refused(words, { WAYBILL_KEY: `wb_live_the-half${rest}` });
      expect(ended).toMatchObject({ code: 4, stderr: expect.stringContaining("is none") });
      expect(`${ended.stdout}${ended.stderr}`).not.toMatch(/half|of.it/);
    }
  });

  it("keeps the key in a file that its owner alone may read, for the commands that follow", async () => {
    const { stdout, stderr } = await waybill(["login", "--broker", operator.broker.url], {
      WAYBILL_KEY: operator.broker.key,
    });
    expect(stdout).toContain(`Logged in to ${operator.broker.url} as tenant ten-`);
    const file = join(config, "waybill/login.json");
    expect(stderr).toContain(file);
    expect(`${stdout}${stderr}`).not.toContain(operator.broker.key);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect((await json(["whoami"])).scopes).toContain("admin");
  });

  it("narrows the rights of the file where somebody has widened them", async () => {
    const file = join(config, "waybill/login.json");
    chmodSync(file, 0o644);
    await waybill(["whoami"]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it("gives the key to no other broker", async () => {
    const other = `http://127.0.0.1:${await takePort()}`;
    const ended = await refused(["whoami", "--broker", other]);
    expect(ended).toMatchObject({ code: 4, stderr: expect.stringContaining(`there is no key for ${other}`) });
  });

  it.each(NODES)("runs on Node $release", async ({ node }) => {
    expect((await waybill(["endpoint", "list"], {}, node)).stdout).toContain("words");
  });
});

describe("a job", () => {
  let started: ReturnType<InstalledPackage["start"]>;

  beforeAll(async () => {
    const { stdout } = await waybill(["worker-env", "words", "--tier", "l4", "--format", "docker"]);
    const environment = Object.fromEntries(
      stdout
        .trim()
        .split("\n")
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    started = installed.start(process.execPath, WORKER, { ...environment, RUNPOD_POD_ID: "worker-1" });
  });

  it("is run with the input that was typed, and its output printed alone", async () => {
    const { stdout, stderr } = await waybill(["run", "--input", '{"words":["a","b"]}']);
    expect(JSON.parse(stdout)).toEqual(["a", "b"]);
    expect(stderr).toMatch(/^job \S+-u1\n/);
    expect(stderr).toMatch(/COMPLETED after \d+ ms in the queue and \d+ ms on a worker\n$/);
  });

  it("has the input of test_input.json where none is typed, and prints its chunks as one text", async () => {
    expect((await waybill(["run", "--stream"])).stdout).toBe("fromthefile");
  });

  it("ends with 1 and the reason where it fails, and can be shown with its attempts", async () => {
    const ended = await refused(["run", "words", "--input", '{"wrong":true}']);
    expect(ended).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("FAILED: ") });
    expect(ended.stderr).toContain("the handler failed");
    const [, id = ""] = /^job (\S+)/.exec(ended.stderr) ?? [];
    const { stdout } = await waybill(["job", "show", id]);
    expect(stdout).toMatch(/^status: FAILED$/m);
    expect(stdout).toMatch(/^ {2}1 +worker-1 +20\S+ +20\S+ +handler_error/m);
  });

  it("is listed, and its line of the bill, and the worker that ran it", async () => {
    const { jobs } = await json(["jobs", "--status", "COMPLETED"]);
    expect(jobs).toHaveLength(2);
    const bill = async () => json(["usage", "--job", jobs[0].id]);
    await expect.poll(bill, { timeout: 5_000 }).toMatchObject({ lines: [{ tier: "l4", seconds: 1 }] });
    expect((await waybill(["usage"])).stdout).toMatch(/\nSum of all that match: \$0\.0\d+\n$/);
    expect((await waybill(["workers"])).stdout).toMatch(/^worker-1 +\S+ +pull +l4/m);
  });

  it("that nobody runs can be cancelled by its id alone", async () => {
    started.signal("SIGTERM");
    expect(await started.ended).toBe(0);
    const id = (await waybill(["run", "--detach"])).stdout.trim();
    expect((await waybill(["job", "cancel", id])).stdout).toBe(`job ${id} is CANCELLED\n`);
    expect(await json(["job", "show", id])).toMatchObject({ status: "CANCELLED" });
  });

  it("is not submitted where what was typed is wrong, and the sentence names it", async () => {
    const rows: [string[], 2 | 5, string][] = [
      [["run", "--input", "{words}"], 2, "--input is not JSON"],
      [["run", "--request", "none.json"], 2, "--request cannot be read"],
      [["run", "--request", "waybill.json"], 2, "--request must be a JSON object with input"],
      [["run", "--input", "1", "--request", "-"], 2, "--input or --request, not both"],
      [["run", "words", "other"], 2, "run takes one endpoint, not words and other"],
      [["run", "nowhere", "--input", "1"], 5, "there is no endpoint nowhere; there is words"],
      [["jobs", "nowhere"], 5, "there is no endpoint nowhere"],
      [["usage", "--from", "yesterday"], 2, "--from must be a time such as"],
      [["completion", "tcsh"], 2, "--shell must be one of bash, zsh, fish"],
    ];
    for (const [words, code, sentence] of rows) {
      const ended = await refused(words);
      expect(ended, words.join(" ")).toMatchObject({ code, stderr: expect.stringContaining(sentence) });
    }
  });
});

describe("waybill.json", () => {
  it.each([
    ["{", "waybill.json is not JSON"],
    ['{"endpoint":"Words"}', "endpoint: must be small letters, digits and hyphens"],
    ['{"endpoint":"words","slots":0}', "slots: "],
    ['{"endpoint":"words","settings":{"maxAtempts":3}}', 'settings: Unrecognized key: "maxAtempts"'],
  ])("%s is refused by the field that is wrong", async (text, sentence) => {
    const path = join(project, "waybill.json");
    const before = readFileSync(path, "utf8");
    writeFileSync(path, text);
    try {
      expect(await refused(["jobs"])).toMatchObject({ code: 2, stderr: expect.stringContaining(sentence) });
    } finally {
      writeFileSync(path, before);
    }
  });
});

it("completes words, options and choices in bash", async () => {
  const { stdout } = await waybill(["completion", "bash"]);
  const complete = (...words: string[]) =>
    execFileSync(
      "bash",
      [
        "-c",
        `${stdout}\nCOMP_WORDS=(waybill "$@"); COMP_CWORD=$#; _waybill; echo "\${COMPREPLY[@]}"`,
        "bash",
        ...words,
      ],
      { encoding: "utf8" },
    ).trim();
  expect(complete("work")).toBe("worker-env worker-key workers worker");
  expect(complete("key", "")).toBe("create list rotate revoke");
  expect(complete("jobs", "words", "--st")).toBe("--status --state");
  expect(complete("worker-env", "words", "--rate", "")).toBe("flex active");
  expect(complete("key", "create", "--json", "--ov")).toBe("");
});

it("logout forgets the key", async () => {
  await waybill(["logout"]);
  expect(await refused(["whoami"])).toMatchObject({ code: 3 });
  expect(readFileSync(join(config, "waybill/login.json"), "utf8")).not.toContain("wb_live_");
});
