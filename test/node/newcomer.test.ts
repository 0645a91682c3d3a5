// What somebody types who sees the project for the first time, and the one sentence that each mistake is answered with.
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";

const folder = mkdtempSync(join(tmpdir(), "waybill-newcomer-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const STATE = ["--state", join(folder, "state")];

function node(words: readonly string[], env: Readonly<Record<string, string>> = {}, cwd = PROJECT_FOLDER) {
  return promisify(execFile)(process.execPath, words, { cwd, env: { ...process.env, ...env } });
}

/** As the scripts of package.json run a command, with the environment that npm gives it. */
function script(name: string, words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return node(["src/cli/run-script.mjs", `src/cli/${name}.ts`, ...words], env);
}

const oneLine = (text: string) => ({ stdout: "", stderr: expect.stringMatching(new RegExp(`^${text}[^\n]*\n$`)) });

describe("npm start", () => {
  it("shows its options when it is asked for help", async () => {
    const { stdout } = await script("start", ["--help"]);
    expect(stdout).toContain("npm start -- [--once | --scale-demo] [--port N] [--state DIR]");
  });

  it.each([
    [
      "--port 9001",
      ["9001"],
      { npm_config_port: "true" },
      "npm has taken --port for itself: put -- before all options",
    ],
    ["--port=9001", [], { npm_config_port: "9001" }, "npm has taken --port 9001 for itself: put -- before all options"],
    ["--once", [], { npm_config_once: "true" }, "npm has taken --once for itself"],
    ["-- --prot 9001", ["--prot", "9001"], {}, "Unknown option '--prot'"],
    ["-- --port x", ["--port", "x"], {}, "--port must be a number from 1 to 65535"],
  ])("%s ends in a sentence", async (_typed, words, env, sentence) => {
    await expect(script("start", [...words, ...STATE], env)).rejects.toMatchObject(oneLine(sentence));
  });
});

it.each([
  ["waybill", { npm_config_body_max_mib: "5", npm_config_tier: "l4" }, "--body-max-mib 5 --tier l4", "npm run admin"],
  ["worker-env", { npm_config_tier: "true" }, "--tier", "npm run worker:env"],
])("%s names the options that npm has taken, and how they are typed", async (name, env, taken, typed) => {
  const sentence = `npm has taken ${taken} for itself: put -- before all options, as in ${typed} -- ${taken}`;
  await expect(script(name, ["ocr"], env)).rejects.toMatchObject(oneLine(sentence));
});

describe("a machine that is not ready", () => {
  const OLD_NODE = "Object.defineProperty(process.versions, 'node', { value: '20.20.2' })";

  it("with an older Node is told which one to use", async () => {
    const asked = node(["--import", `data:text/javascript,${OLD_NODE}`, "src/cli/run-script.mjs", "src/cli/start.ts"]);
    await expect(asked).rejects.toMatchObject(oneLine("Node 20.20.2 cannot run this; npm install has brought one"));
  });

  it("without the packages is told to install them", async () => {
    mkdirSync(join(folder, "src", "cli"), { recursive: true });
    cpSync(join(PROJECT_FOLDER, "src/cli/run-script.mjs"), join(folder, "src/cli/run-script.mjs"));
    const asked = node(["src/cli/run-script.mjs", "src/cli/start.ts"], {}, folder);
    await expect(asked).rejects.toMatchObject(oneLine("Run npm install first"));
  });
});
