// `waybill init` as it is typed: out of the installed package, in an empty folder whose path has a space, under each Node that it is for.
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { InstalledPackage, NODES } from "./installed-package.ts";
import { type Printed, runCommand } from "./operator.ts";

const run = promisify(execFile);
const installed = new InstalledPackage();
const BIN = join(PROJECT_FOLDER, "node_modules/.bin");
const COMMON = [
  ".dockerignore",
  ".gitignore",
  "Dockerfile",
  "README.md",
  "model/languages.json",
  "package.json",
  "test_input.json",
  "waybill-0.1.0.tgz",
  "waybill.json",
];
const OF_LANGUAGE: Readonly<Record<string, readonly string[]>> = {
  ts: ["handler.test.ts", "handler.ts", "tsconfig.json", "worker.ts"],
  js: ["handler.js", "handler.test.js", "worker.js"],
};

let made = 0;

/** An empty folder. */
function newFolder(name = "My Wörker"): string {
  made += 1;
  const folder = join(installed.folder, `folder ${made}`, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** A program of npm's in a folder, by a Node, without a network. */
function npm(folder: string, words: readonly string[], node = process.execPath, command = "npm"): Promise<Printed> {
  const env = { ...installed.npmEnvironment, npm_config_offline: "true" };
  return run(command, [...words], { cwd: folder, env: { ...env, PATH: `${dirname(node)}:${process.env.PATH}` } });
}

/** The command of the package, in a folder that does not have it. */
function init(folder: string, words: readonly string[] = [], node = process.execPath): Promise<Printed> {
  const command = join(installed.home, "node_modules/waybill/command/waybill.js");
  return run(node, [command, "init", ...words], { cwd: folder, env: installed.npmEnvironment });
}

/** What is below a folder, but for what nobody commits. */
function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .filter((name) => !/^(node_modules|\.waybill)\//.test(name))
    .toSorted();
}

const read = (folder: string, name: string) => readFileSync(join(folder, name), "utf8");

describe.each(NODES)("a new worker under Node $release", ({ node, release }) => {
  const language = release.startsWith("v20.") ? "js" : "ts";
  let folder: string;
  let printed: Printed;

  beforeAll(async () => {
    folder = newFolder();
    await npm(folder, ["install", join(installed.folder, "waybill-0.1.0.tgz")], node);
    printed = await npm(folder, ["waybill", "init"], node, "npx");
    await npm(folder, ["install"], node);
  });

  it("has the files that it names, and the next three commands", () => {
    const files = [...COMMON, ...(OF_LANGUAGE[language] ?? [])].toSorted();
    expect(filesOf(folder)).toEqual([...files, "package-lock.json"].toSorted());
    const lines = printed.stdout.trimEnd().split("\n");
    const names = lines.flatMap((line) => (line.startsWith("made  ") ? [line.slice(6)] : []));
    expect(names.toSorted()).toEqual(files);
    expect(lines.slice(-4)).toEqual(["", "npm install", "npm test", "npx waybill dev"]);
  });

  it("passes its own tests", async () => {
    const { stdout } = await npm(folder, ["test"], node);
    expect(stdout).toMatch(/pass 4\n[\s\S]*fail 0\n/);
  });

  it("runs the job of its folder", async () => {
    const { stdout } = await npm(folder, ["start", "--silent"], node);
    expect(JSON.parse(stdout)).toEqual({ output: { language: "en", confidence: expect.any(Number) } });
  });

  it("is named after its folder, and depends on what is beside it alone", async () => {
    expect(JSON.parse(read(folder, "waybill.json"))).toEqual({
      endpoint: "my-worker",
      worker: `worker.${language}`,
      tier: "a4000",
    });
    expect(JSON.parse(read(folder, "package.json"))).toMatchObject({
      type: "module",
      dependencies: { waybill: "file:waybill-0.1.0.tgz" },
    });
    expect(read(folder, "package-lock.json")).not.toMatch(/"resolved": "(?!file:waybill-0\.1\.0\.tgz")/);
    const all = COMMON.filter((name) => !name.endsWith(".tgz")).map((name) => read(folder, name));
    expect(all.join("")).not.toMatch(/\{\{|\}\}/);
  });

  it("installs in the folder of an image, which has the packages alone", async () => {
    const image = newFolder("image");
    for (const name of ["package.json", "package-lock.json", "waybill-0.1.0.tgz"])
      writeFileSync(join(image, name), readFileSync(join(folder, name)));
    await npm(image, ["ci", "--omit=dev"], node);
    expect(existsSync(join(image, "node_modules/waybill/worker/worker.js"))).toBe(true);
    const dockerfile = read(folder, "Dockerfile");
    expect(dockerfile).toContain("FROM node:24.21.0-bookworm-slim\n");
    expect(dockerfile).toContain("COPY package.json package-lock.json waybill-0.1.0.tgz ./\n");
    expect(dockerfile).toContain(`USER node\n`);
    expect(dockerfile.trimEnd().split("\n").at(-1)).toBe(`CMD ["node", "worker.${language}"]`);
  });

  it("changes nothing when it is made again", async () => {
    const before = filesOf(folder).map((name) => read(folder, name));
    expect((await npm(folder, ["waybill", "init"], node, "npx")).stdout).toContain("Everything is there already.");
    expect(filesOf(folder).map((name) => read(folder, name))).toEqual(before);
  });
});

describe("init", () => {
  it("makes a folder by its path, with the name and the language that are given", async () => {
    const folder = newFolder();
    const { stdout } = await init(folder, ["new/it's one", "--name", "guesser", "--language", "js"]);
    expect(stdout).toContain(`\ncd 'new/it'\\''s one' && npm install\nnpm test\nnpx waybill dev\n`);
    const worker = join(folder, "new/it's one");
    expect(filesOf(worker)).toEqual([...COMMON, ...(OF_LANGUAGE.js ?? [])].toSorted());
    expect(JSON.parse(read(worker, "package.json")).name).toBe("guesser");
    const again = await init(folder, ["new/it's one", "--name", "guesser", "--language", "js", "--json"]);
    expect(JSON.parse(again.stdout)).toMatchObject({ folder: worker, name: "guesser", files: [] });
  });

  it("types fit its editor's settings", async () => {
    const folder = newFolder();
    await init(folder);
    mkdirSync(join(folder, "node_modules"));
    const lent = [["waybill", join(installed.home, "node_modules")]].concat(
      ["@types", "undici-types"].map((name) => [name, join(PROJECT_FOLDER, "node_modules")]),
    );
    for (const [name = "", from = ""] of lent)
      await run("ln", ["-s", join(from, name), join(folder, "node_modules", name)]);
    const checked = await run(join(BIN, "tsc"), [], { cwd: folder }).catch((error) => error);
    expect(checked.stdout).toBe("");
  });

  it("leaves nothing where it fails half-way, and goes on where it was ended", async () => {
    const folder = newFolder();
    const env = { ...installed.npmEnvironment, PATH: join(folder, "nothing") };
    const command = join(installed.home, "node_modules/waybill/command/waybill.js");
    await expect(run(process.execPath, [command, "init"], { cwd: folder, env })).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("npm could not pack"),
    });
    expect(filesOf(folder)).toEqual([]);
    await init(folder);
    const whole = filesOf(folder);
    await run("rm", ["package.json", "worker.ts", "waybill-0.1.0.tgz"], { cwd: folder });
    await init(folder);
    expect(filesOf(folder)).toEqual(whole);
  });

  it("of the project builds the package first", async () => {
    const folder = newFolder();
    const withNode = (release: string) => ({ npm_config_user_agent: `npm/11.0.0 node/v${release} linux x64` });
    await runCommand("waybill.ts", ["init", folder], withNode("24.0.0"));
    const { stdout } = await run("tar", ["-tzf", join(folder, "waybill-0.1.0.tgz")]);
    expect(stdout).toContain("package/command/template/ts/worker.ts\n");
    expect(existsSync(join(folder, "worker.ts"))).toBe(true);
    // The project brings a Node of its own, which a person's commands elsewhere do not have.
    const other = newFolder();
    await runCommand("waybill.ts", ["init", other], withNode("20.20.2"));
    expect(existsSync(join(other, "worker.js"))).toBe(true);
  });
});
