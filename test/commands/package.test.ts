// The npm package as its users get it: packed, installed without a network in an empty folder whose path has a space, and run.
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { PROJECT_FOLDER } from "../../src/cli/dev-database.ts";
import { type FakeRunpod, startFakeRunpod } from "./fake-runpod.ts";
import { runCommand } from "./operator.ts";

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "waybill package "));
const built = join(folder, "built");
const home = join(folder, "a worker");
const BIN = join(PROJECT_FOLDER, "node_modules/.bin");
const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(join(PROJECT_FOLDER, "package.json"), "utf8")));
const children: ChildProcess[] = [];

/** npm as a person calls it: without the settings that `npm run` hands down, and with an empty cache. */
const NPM_ENVIRONMENT = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.toLowerCase().startsWith("npm_"))),
  npm_config_cache: join(folder, "no cache"),
};

/** The Node of the project, and the system's where it is the oldest that the package says it runs on. */
const NODES = [process.execPath, "/usr/bin/node"].flatMap((node) => {
  if (!existsSync(node)) return [];
  const release = execFileSync(node, ["--version"], { encoding: "utf8" }).trim();
  return node === process.execPath || release.startsWith("v20.") ? [{ node, release }] : [];
});

const PLAIN_WORKER = `
import { start } from "waybill/worker";

await start({
  handler: async ({ input, progress }) => {
    progress({ step: 1 });
    return { sum: input.a + input.b };
  },
  input: { a: { type: "int" }, b: { type: "int", required: false, default: 3 } },
});
`;

const TYPED_WORKER = `
import { type Handler, type InputRules, type Job, type Log, start, type WorkerConfig } from "waybill/worker";
import * as z from "zod";

const schema = z.object({ words: z.array(z.string()), times: z.number().default(1) });
type Input = z.infer<typeof schema>;

async function* handler({ input, log, signal }: Job<Input>): AsyncGenerator<string> {
  for (const word of input.words) {
    if (signal.aborted) return;
    log.info("a word", { word });
    yield word.repeat(input.times);
  }
}

export const rules: InputRules = { a: { type: ["int", "float"], constraints: (a) => a > 0 } };
export const config: WorkerConfig<Input> = { handler, input: schema, concurrency: async (current) => current + 1 };
export const other: Handler = ({ input }) => input;
export const shout = (log: Log) => log.of("job").warn("loud", { isLoud: true });


// The type of a job's input is that of the schema.
await start({ input: schema, returnAggregateStream: true, handler: ({ input }) => handlerOf(input.words.length) });

function handlerOf(length: number): { readonly length: number } {
  return { length };
}

// @ts-expect-error: a handler is needed
export const none: WorkerConfig = {};
// @ts-expect-error: no such type of a rule
export const wrong: InputRules = { a: { type: "text" } };
`;

beforeAll(async () => {
  await runCommand("package.ts", ["--out", built]);
  await run("npm", ["pack", "--pack-destination", folder], { cwd: built, env: NPM_ENVIRONMENT });
  mkdirSync(home);
  const tarball = join(folder, `waybill-${version}.tgz`);
  await run("npm", ["install", "--offline", tarball], { cwd: home, env: NPM_ENVIRONMENT });
});

afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const packedSchema = z.tuple([
  z.object({ unpackedSize: z.int(), files: z.array(z.object({ path: z.string() })), bundled: z.array(z.string()) }),
]);

describe("the package", () => {
  it("has the bundled worker, its types and what a package must have, and nothing else", async () => {
    const { stdout } = await run("npm", ["pack", "--dry-run", "--json"], { cwd: built, env: NPM_ENVIRONMENT });
    const [{ files, unpackedSize, bundled }] = packedSchema.parse(JSON.parse(stdout));
    expect(files.map(({ path }) => path).toSorted()).toEqual([
      "LICENSE",
      "README.md",
      "package.json",
      "worker/heartbeat-thread.js",
      "worker/worker.d.ts",
      "worker/worker.js",
    ]);
    expect(bundled).toEqual([]);
    expect(unpackedSize).toBeLessThan(80_000);
  });

  it("is built anew over an earlier build, and over nothing else", async () => {
    const other = join(folder, "other");
    mkdirSync(other);
    writeFileSync(join(other, "package.json"), JSON.stringify({ name: "waybill", private: true }));
    for (const place of [other, PROJECT_FOLDER]) {
      await expect(runCommand("package.ts", ["--out", place])).rejects.toMatchObject({
        code: 2,
        stderr: expect.stringContaining("holds something else"),
      });
    }
    expect(readdirSync(other)).toEqual(["package.json"]);
    await runCommand("package.ts", ["--out", built]);
  });

  it("brings no other package", () => {
    expect(readdirSync(join(home, "node_modules")).toSorted()).toEqual([".package-lock.json", "waybill"]);
  });

  it("is JavaScript that imports nothing but what Node has", () => {
    const texts = ["worker.js", "heartbeat-thread.js"].map((file) => readFileSync(join(built, "worker", file), "utf8"));
    const names = texts.flatMap((text) =>
      [...text.matchAll(/(?: from |import\(|import )"([^"]+)"/g)].map(([, name]) => name),
    );
    expect(names).not.toEqual([]);
    expect(names.filter((name) => !name?.startsWith("node:"))).toEqual([]);
  });

  it.each([
    ["publint", ["--strict"]],
    ["attw", ["--pack", ".", "--profile", "esm-only"]],
  ])("passes %s", async (tool, words) => {
    await run(join(BIN, tool), words, { cwd: built, env: NPM_ENVIRONMENT });
  });
});

describe("the types of the package", () => {
  const requireOfAttw = createRequire(createRequire(import.meta.url).resolve("@arethetypeswrong/core"));
  const OLD_TSC = join(requireOfAttw.resolve("typescript"), "../../bin/tsc");

  beforeAll(() => {
    // Of the packages of a worker's author.
    for (const name of ["zod", "@types", "undici-types"]) {
      symlinkSync(join(PROJECT_FOLDER, "node_modules", name), join(home, "node_modules", name));
    }
    writeFileSync(join(home, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(home, "typed.ts"), TYPED_WORKER);
  });

  const compilers = [
    { compiler: "this project's TypeScript", command: join(BIN, "tsc"), first: [] },
    { compiler: "TypeScript 5", command: process.execPath, first: [OLD_TSC] },
  ];
  const platforms = [
    { platform: "Node", options: { lib: ["es2022"], types: ["node"] } },
    { platform: "a browser", options: { lib: ["es2022", "dom"], types: [] } },
  ];
  const cases = compilers.flatMap((compiler) =>
    platforms.flatMap((platform) => [true, false].map((skipLibCheck) => ({ ...compiler, ...platform, skipLibCheck }))),
  );

  it.each(cases)(
    "fit a strict worker by $compiler with the types of $platform, skipLibCheck $skipLibCheck",
    async (given) => {
      const { command, first, options, skipLibCheck } = given;
      const strict = { strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true };
      const compilerOptions = {
        ...strict,
        ...options,
        module: "nodenext",
        target: "es2022",
        noEmit: true,
        skipLibCheck,
      };
      const project = join(home, "tsconfig.json");
      writeFileSync(project, JSON.stringify({ compilerOptions, files: ["typed.ts"] }));
      const checked = await run(command, [...first, "-p", project]).catch((error) => error);
      expect(checked.stdout).toBe("");
    },
  );
});

describe.each(NODES)("an installed worker in plain JavaScript under Node $release", ({ node, release }) => {
  let runpod: FakeRunpod;

  beforeAll(async () => {
    runpod = await startFakeRunpod();
  });

  afterAll(() => runpod.stop());

  it("runs a job, tells that it is alive while it does, and ends when it is told to", async () => {
    writeFileSync(join(home, "plain.mjs"), PLAIN_WORKER);
    const id = `worker-${release}`;
    const worker = spawn(node, ["plain.mjs"], {
      cwd: home,
      env: { PATH: process.env.PATH, ...runpod.environment(id) },
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(worker);
    const ended = once(worker, "exit");
    runpod.offer("job-1", { a: 2 });
    runpod.offer("job-2", { a: "two" });
    const done = await runpod.called(
      ({ path, body }) => path.endsWith(`/job-done/${id}/job-1`) && body.includes("sum"),
    );
    expect(done).toMatchObject({
      method: "POST",
      parameters: { gpu: "NVIDIA L4", isStream: "false" },
      body: '{"output":{"sum":5}}',
    });
    expect(done.headers).toMatchObject({ authorization: "a-worker's-key", "user-agent": `Waybill-Worker/${version}` });
    const failed = await runpod.called(({ path }) => path.endsWith(`/job-done/${id}/job-2`));
    expect(failed.body).toBe('{"error":"input.a: must be an integer"}');
    await runpod.called(
      ({ path, headers }) => path.endsWith(`/ping/${id}`) && headers["user-agent"] === `Waybill-Worker/${version}`,
    );
    worker.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
  });
});
