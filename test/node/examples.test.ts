// What the examples in TypeScript promise by their files alone: they are what a user would write, and their containers have what they need.
import { globSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { NgramModel } from "../../examples/text-stream/model.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";

const EXAMPLES = join(PROJECT_FOLDER, "examples");
const versionsSchema = z.record(z.string(), z.string());
const manifestSchema = z.object({ dependencies: versionsSchema, devDependencies: versionsSchema.default({}) });
const lockedSchema = z.object({ version: z.string(), integrity: z.string().optional() });
const lockSchema = z.object({ packages: z.record(z.string(), lockedSchema.partial()) });

const readText = (...path: string[]) => readFileSync(join(...path), "utf8");
const readManifest = (folder: string) => manifestSchema.parse(JSON.parse(readText(folder, "package.json")));
const readLock = (folder: string) => lockSchema.parse(JSON.parse(readText(folder, "package-lock.json"))).packages;

/** `name@version digest` of each package. */
function lockedIn(folder: string): string[] {
  return Object.entries(readLock(folder)).flatMap(([place, { version, integrity }]) => {
    const name = place.split("node_modules/").at(-1);
    return place === "" || name === "waybill" ? [] : [`${name}@${version} ${integrity}`];
  });
}

const names = globSync("*/worker.ts", { cwd: EXAMPLES }).map(dirname);

it("there are examples in TypeScript", () =>
  expect(names.toSorted()).toEqual(["embeddings", "ocr-worker", "text-stream"]));

describe.each(names)("the example %s", (name) => {
  const folder = join(EXAMPLES, name);
  const container = join(folder, "container");
  const { dependencies } = readManifest(container);
  const files = globSync("**/*.ts", { cwd: folder, exclude: ["**/node_modules"] });
  const imported = files.flatMap((file) =>
    [...readText(folder, file).matchAll(/(?:\bfrom|\bimport|\bimport\(|\bresolve\() ?"([^"]+)"/g)].map(
      ([, from = ""]) => from,
    ),
  );

  it("imports its own files, Node's modules and packages of its container, and nothing else of the project", () => {
    const ofPackages = imported.filter((from) => !from.startsWith("node:") && !/^\.\/[\w-]+\.ts$/.test(from));
    const packages = ofPackages.map((from) => /^(?:@[^/]+\/)?[^/]+/.exec(from)?.[0]);
    expect(ofPackages).toContain("waybill/worker");
    expect(packages.filter((each) => !Object.hasOwn(dependencies, each ?? ""))).toEqual([]);
  });

  it("has no manifest beside its files, with which the project's package would have no name there", () => {
    expect(globSync("package.json", { cwd: folder })).toEqual([]);
  });

  it("has the exact versions in its container that the project's tests run", () => {
    const project = readManifest(PROJECT_FOLDER);
    const known = { ...project.dependencies, ...project.devDependencies, waybill: "file:waybill-0.1.0.tgz" };
    expect(known).toMatchObject(dependencies);
    expect(lockedIn(PROJECT_FOLDER)).toEqual(expect.arrayContaining(lockedIn(container)));
    // The digest of a package that each reader builds is no other's.
    expect(readLock(container)["node_modules/waybill"]).toMatchObject({ version: "0.1.0" });
    expect(readLock(container)["node_modules/waybill"]?.integrity).toBeUndefined();
  });

  it("copies all of its files into its image", () => {
    const copied = [...readText(folder, "Dockerfile").matchAll(/^COPY (?!--from)(.+) \.\/$/gm)].flatMap(
      ([, list = ""]) => list.split(" "),
    );
    expect(copied).toEqual(expect.arrayContaining([...files.map((file) => basename(file)), "test_input.json"]));
  });
});

describe("the toy model of text-stream", () => {
  const model = new NgramModel(readText(EXAMPLES, "text-stream/text.txt"));

  async function textOf(seed: number, prompt = "The clerk"): Promise<string[]> {
    const tokens: string[] = [];
    const { signal } = new AbortController();
    for await (const token of model.generate({ prompt, maxTokens: 200, seed, signal })) tokens.push(token);
    return tokens;
  }

  it("gives the same text for the same seed, and another one for another", async () => {
    const text = await textOf(1);
    expect(text).toHaveLength(200);
    expect(await textOf(1)).toEqual(text);
    expect(await textOf(2)).not.toEqual(text);
  });

  it("goes on from any prompt", async () => {
    for (const prompt of ["", "zebra", "oranges. The", "…"]) expect(await textOf(1, prompt)).toHaveLength(200);
  });

  it("ends when the signal of its job fires", async () => {
    const job = new AbortController();
    const tokens: string[] = [];
    for await (const token of model.generate({ prompt: "", maxTokens: 100, signal: job.signal })) {
      tokens.push(token);
      if (tokens.length === 3) job.abort();
    }
    expect(tokens).toHaveLength(3);
  });
});
