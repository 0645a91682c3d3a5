// The containers of the examples, as far as they can be tried without Docker: a linter reads each Dockerfile, and its steps are run, with
// the SDK packed as its users get it. Then the command of the image runs the job that lies in it, where every connection is refused.
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { runCommand } from "../commands/operator.ts";
import { placeOf, runDockerfile } from "./dockerfile.ts";
import { describePython } from "./python-worker.ts";

const run = promisify(execFile);
const EXAMPLES = join(PROJECT_FOLDER, "examples");
/** With what the job of `test_input.json` gives. */
const CONTAINERS = [
  { name: "ocr-worker", output: { text: "WAYBILL 2026\nForty-two crates of oranges", confidence: expect.any(Number) } },
  { name: "embeddings", output: { embeddings: [expect.any(Array), expect.any(Array)], tokens: 11 } },
  {
    name: "text-stream",
    output: [" stood", " in", " a", " waybill", " knows", " where", " it", " went", ".", " The", " captain", " gave"],
  },
];
/** Loaded by Node before a program, and in each of its threads. */
const NO_NETWORK = 'require("node:net").Socket.prototype.connect = () => { throw new Error("there is no network"); };';

describe("a container", () => {
  const folder = mkdtempSync(join(tmpdir(), "waybill-containers-"));

  const noNetwork = join(folder, "no-network.cjs");

  beforeAll(async () => {
    writeFileSync(noNetwork, NO_NETWORK);
    const built = join(folder, "package");
    await runCommand("package.ts", ["--out", built]);
    await run("npm", ["pack", "--pack-destination", folder], { cwd: built });
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.concurrent.each(CONTAINERS)(
    "of $name has what it needs, and runs its job without a network",
    async ({ name, output }) => {
      const [context, stages] = [join(folder, name, "context"), join(folder, name, "stages")];
      cpSync(join(EXAMPLES, name), context, { recursive: true });
      cpSync(join(folder, "waybill-0.1.0.tgz"), join(context, "container/waybill-0.1.0.tgz"));
      mkdirSync(stages);
      // What the project's own installation has left is the same, by the digests in both locks.
      const image = await runDockerfile({ context, folder: stages, variables: { npm_config_prefer_offline: "true" } });
      expect(image.image).toBe(`node:${process.versions.node}-bookworm-slim`);
      expect(image.user).toBe("1000:1000");
      const [command = "", ...words] = image.command;
      const { stdout } = await run(command, words, {
        cwd: placeOf(image),
        env: {
          PATH: dirname(process.execPath),
          NODE_OPTIONS: `--require=${noNetwork}`,
          ...image.variables,
        },
      });
      expect(JSON.parse(stdout.trim().split("\n").at(-1) ?? "")).toMatchObject({ output });
    },
  );

  it("with an instruction that is not known here is not taken for tried", async () => {
    const context = join(folder, "unknown");
    mkdirSync(join(context, "stages"), { recursive: true });
    writeFileSync(join(context, "Dockerfile"), "FROM node\nADD https://example.com/model.bin ./\n");
    const built = runDockerfile({ context, folder: join(context, "stages"), variables: {} });
    await expect(built).rejects.toThrow("the instruction ADD is not known here");
  });
});

describePython("the linter hadolint", ({ hadolint }) => {
  it.each(CONTAINERS)("has nothing to say against the Dockerfile of $name", async ({ name }) => {
    const file = join(EXAMPLES, name, "Dockerfile");
    expect(readFileSync(file, "utf8")).not.toContain("hadolint ignore");
    const linted = run(join(dirname(hadolint), "hadolint"), ["--no-color", "--failure-threshold", "warning", file]);
    await expect(linted).resolves.toMatchObject({ stdout: "" });
  });
});
