// The command line asks the worker of a folder for its input schema: workers in processes of their own, good and bad ones.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { readInputSchema, type SchemaOptions } from "../../src/cli/project/input-schema.ts";

const root = mkdtempSync(join(tmpdir(), "waybill schema "));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const START = `import { start } from "${pathToFileURL(join(PROJECT_FOLDER, "src/sdk/worker.ts"))}";`;
const ZOD = `import * as z from "${pathToFileURL(join(PROJECT_FOLDER, "node_modules/zod/index.js"))}";`;
let made = 0;

/** The answer of a worker with this text, and what was noted of it. */
async function ask(text: string, { worker = "a worker.js", ...options }: SchemaOptions & { worker?: string } = {}) {
  made += 1;
  const folder = join(root, String(made));
  mkdirSync(folder);
  writeFileSync(join(folder, worker), text);
  const notes: string[] = [];
  const note = (sentence: string) => void notes.push(sentence);
  return { schema: await readInputSchema(folder, worker, { note, ...options }), notes, folder };
}

const OF_RULES = {
  type: "object",
  properties: { words: { type: "string" } },
  required: ["words"],
  additionalProperties: false,
};

describe("the input schema of a worker", () => {
  it("is the table of its rules, of a worker in TypeScript, too", async () => {
    const text = `${START}\nawait start({ input: { words: { type: "str" } }, handler: () => 1 });`;
    expect(await ask(text)).toMatchObject({ schema: OF_RULES, notes: [] });
    const typed = `${START}\nconst type = "str" as const;\nawait start({ input: { words: { type } }, handler: () => 1 });`;
    expect(await ask(typed, { worker: "worker.ts" })).toMatchObject({ schema: OF_RULES, notes: [] });
  });

  it("is that of zod", async () => {
    const text = `${START}${ZOD}\nawait start({ input: z.object({ words: z.string() }), handler: () => 1 });`;
    expect((await ask(text)).schema).toMatchObject({ type: "object", required: ["words"] });
  });

  it("is null where the worker takes any input", async () => {
    expect(await ask(`${START}\nawait start({ handler: () => 1 });`)).toMatchObject({ schema: null, notes: [] });
  });

  it.each([
    ["a schema that is none of JSON", `${ZOD}const input = z.object({ at: z.date() });`, "Date cannot be represented"],
    [
      "a library that gives none",
      'const input = { "~standard": { version: 1, vendor: "x", validate: (value) => ({ value }) } };',
      "the library of the schema gives no JSON Schema",
    ],
    [
      "a schema that no endpoint takes",
      `const standard = { version: 1, vendor: "x", validate: (value) => ({ value }), jsonSchema: { input: () => ({ type: "text" }) } };
const input = { "~standard": standard };`,
      "/type must be",
    ],
  ])("is null for %s, and a sentence tells why", async (_title, input, reason) => {
    const { schema, notes } = await ask(`${START}${input}\nawait start({ input, handler: () => 1 });`);
    expect(schema).toBeNull();
    expect(notes).toEqual([expect.stringContaining(`the input schema of a worker.js cannot be the endpoint's`)]);
    expect(notes.join()).toContain(reason);
  });

  it("is told before anything of the worker has run but its file", async () => {
    const { folder } = await ask(`${START}
import { writeFileSync } from "node:fs";
const ran = () => writeFileSync("ran", "");
await start({ handler: ran, prestart: ran, fitnessChecks: { gpu: ran } });`);
    expect(existsSync(join(folder, "ran"))).toBe(false);
  });

  it("is found among all else that the worker prints, with the environment that it is started with", async () => {
    const text = `${START}
console.log('{"inputSchema": "no"}');
console.error("a warning");
process.stdout.write("loading the model... ");
setInterval(() => undefined, 1_000);
await start({ input: { [process.env.FIELD]: { type: "str" } }, handler: () => 1 });`;
    expect((await ask(text, { env: { FIELD: "words" } })).schema).toEqual(OF_RULES);
  });

  it("is told as a worker that has never seen the operator's key", async () => {
    process.env.WAYBILL_KEY = "secret";
    process.env.RUNPOD_WEBHOOK_GET_JOB = "https://elsewhere.test/job-take/$ID";
    try {
      const text = `${START}
const names = Object.keys(process.env).filter((name) => /WAYBILL_KEY|RUNPOD_WEBHOOK/.test(name));
await start({ input: Object.fromEntries(names.map((name) => [name, { type: "str" }])), handler: () => 1 });`;
      expect((await ask(text)).schema).toMatchObject({ properties: {} });
    } finally {
      delete process.env.WAYBILL_KEY;
      delete process.env.RUNPOD_WEBHOOK_GET_JOB;
    }
  });
});

describe("a worker that tells no schema ends the command in a sentence", () => {
  it.each([
    ["fails", 'throw new Error("no model");', /it ended with code 1\n[\s\S]*no model/],
    [
      "has a rule that is none",
      `${START}\nawait start({ input: { a: { type: "text" } }, handler: () => 1 });`,
      /it ended with code 1\nERROR.* the rule of input\.a needs a type/,
    ],
    ["is no worker", 'console.log("hello");', /it has to end with await start.*\nhello$/],
    ["is killed", 'process.kill(process.pid, "SIGABRT");', /it ended with SIGABRT/],
  ])("where it %s", async (_title, text, sentence) => {
    await expect(ask(text)).rejects.toThrow(sentence);
  });

  it("where it takes too long, though what it has started keeps its output open", async () => {
    const text = `
import { spawn } from "node:child_process";
spawn("sleep", ["3"], { stdio: "inherit" });
setInterval(() => undefined, 1_000);`;
    await expect(ask(text, { maxMs: 300 })).rejects.toThrow("it had 0.3 s");
  });

  it("where its file is not there", async () => {
    await expect(readInputSchema(root, "gone.js")).rejects.toThrow(
      `worker in waybill.json names gone.js, which is not in ${root}`,
    );
  });
});
