// What the npm package has in it, whether tools and compilers take it, and whether a worker of it runs.
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { takePort } from "../running/port.ts";
import { type FakeRunpod, startFakeRunpod } from "./fake-runpod.ts";
import { InstalledPackage, NODES } from "./installed-package.ts";
import { runCommand } from "./operator.ts";

const run = promisify(execFile);
const installed = new InstalledPackage();
const { built, folder, home, version, npmEnvironment } = installed;
const BIN = join(PROJECT_FOLDER, "node_modules/.bin");

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
import { type Handler, type InputRules, type Job, type Log, serve, start, type WorkerConfig } from "waybill/worker";
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


export const twin = () =>
  serve({ fetch: async (request) => new Response(request.body) }, { port: 8_000, prestart: async () => 1, drainMs: 5 });
export const bare = () => serve(() => new Response("ok"));

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

const packedSchema = z.tuple([
  z.object({
    unpackedSize: z.int(),
    files: z.array(z.object({ path: z.string(), size: z.int() })),
    bundled: z.array(z.string()),
  }),
]);

const HONO_WORKER = `
import { Hono } from "hono";
import { serve } from "waybill/worker";

await serve(new Hono().get("/", (c) => c.text("ok")));
`;

describe("the package", () => {
  it("has the command, the bundled worker, its types and what a package must have, and nothing else", async () => {
    const { stdout } = await run("npm", ["pack", "--dry-run", "--json"], { cwd: built, env: npmEnvironment });
    const [{ files, unpackedSize, bundled }] = packedSchema.parse(JSON.parse(stdout));
    // Names of parts end with a digest of what is in them, and a new worker has the files of the template.
    const names = new Set(
      files.map(({ path }) => path.replace(/-[A-Z0-9]{8}\.js$/, "-*.js").replace(/template\/.*/, "template/*")),
    );
    expect([...names].toSorted()).toEqual([
      "LICENSE",
      "README.md",
      "command/dev-leash.js",
      "command/template/*",
      "command/waybill.js",
      "package.json",
      "worker/chunk-*.js",
      "worker/heartbeat-thread.js",
      "worker/serve-*.js",
      "worker/worker.d.ts",
      "worker/worker.js",
    ]);
    expect(bundled).toEqual([]);
    const ofWorker = files.filter(({ path }) => path.startsWith("worker/"));
    expect(ofWorker.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(400_000);
    expect(unpackedSize).toBeLessThan(800_000);
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
    expect(readdirSync(join(home, "node_modules")).toSorted()).toEqual([".bin", ".package-lock.json", "waybill"]);
  });

  it("is JavaScript that imports nothing but what Node has", () => {
    const files = readdirSync(built, { recursive: true, encoding: "utf8" }).filter((file) =>
      /^(worker|command)\/[^/]+\.js$/.test(file),
    );
    const texts = files.map((file) => readFileSync(join(built, file), "utf8"));
    const names = texts.flatMap((text) =>
      [...text.matchAll(/(?:\bfrom ?|\bimport\(|\bimport ?)"([\w@./:-]+)"/g)].map(([, name]) => name),
    );
    expect(names).not.toEqual([]);
    expect(names.filter((name) => !/^(node:|\.\/)/.test(name ?? ""))).toEqual([]);
  });

  it.each([
    ["publint", ["--strict"]],
    ["attw", ["--pack", ".", "--profile", "esm-only"]],
  ])("passes %s", async (tool, words) => {
    await run(join(BIN, tool), words, { cwd: built, env: npmEnvironment });
  });
});

describe("the types of the package", () => {
  const requireOfAttw = createRequire(createRequire(import.meta.url).resolve("@arethetypeswrong/core"));
  const OLD_TSC = join(requireOfAttw.resolve("typescript"), "../../bin/tsc");

  beforeAll(() => {
    // Of the packages of a worker's author.
    for (const name of ["hono", "zod", "@types", "undici-types"]) installed.lend(name);
    writeFileSync(join(home, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(home, "typed.ts"), TYPED_WORKER);
    writeFileSync(join(home, "hono.ts"), HONO_WORKER);
  });

  const compilers = [
    { compiler: "this project's TypeScript", command: join(BIN, "tsc"), first: [], files: ["typed.ts", "hono.ts"] },
    // Hono's own types are for a later one.
    { compiler: "TypeScript 5", command: process.execPath, first: [OLD_TSC], files: ["typed.ts"] },
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
      const { command, first, files, options, skipLibCheck } = given;
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
      writeFileSync(project, JSON.stringify({ compilerOptions, files }));
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
    const id = `worker-${release}`;
    const worker = installed.start(node, PLAIN_WORKER, runpod.environment(id));
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
    worker.signal("SIGTERM");
    expect(await worker.ended).toBe(0);
  });

  it("serves an endpoint on its own machine, as it does from the source", async () => {
    const port = await takePort();
    const worker = installed.start(node, PLAIN_WORKER, {}, ["--rp_serve_api", "--rp_api_port", String(port)]);
    const call = () =>
      fetch(`http://127.0.0.1:${port}/runsync`, { method: "POST", body: JSON.stringify({ input: { a: 2 } }) });
    const answered = () =>
      call()
        .then((answer) => answer.json())
        .catch(() => null);
    await expect.poll(answered, { timeout: 30_000 }).toMatchObject({ status: "COMPLETED", output: { sum: 5 } });
    worker.signal("SIGTERM");
    expect(await worker.ended).toBe(0);
  });
});
