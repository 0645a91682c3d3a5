// What `init` refuses before it writes anything, and the names that it makes. test/commands/init.test.ts has what it writes.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { initProject } from "../../src/cli/project/init.ts";
import { nameOf } from "../../src/cli/project/worker-name.ts";

const root = mkdtempSync(join(tmpdir(), "waybill init "));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(root, "worker-"));
});

/** Makes a worker in a folder that has these files, and expects that this is refused with nothing written. */
async function refused(files: Readonly<Record<string, string>>, sentence: string, name?: string): Promise<void> {
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  const refusal = { ending: "wrongUse", message: expect.stringContaining(sentence) };
  await expect(initProject({ folder, name })).rejects.toMatchObject(refusal);
  expect(readdirSync(folder).toSorted()).toEqual(Object.keys(files).toSorted());
}

describe("the name of a worker", () => {
  it.each([
    ["My Wörker", "my-worker"],
    ["--Image №2--", "image-no2"],
    ["waybill", "my-waybill"],
    ["templates", "my-templates"],
    ["0123456789abcdef", "my-0123456789abcdef"],
    ["___", "my-worker"],
    [`${"a".repeat(62)}-b`, "a".repeat(62)],
  ])("of a folder %s is one that everybody takes", (name, made) => {
    expect(nameOf(name)).toBe(made);
  });

  it.each([
    ["Mine!", "--name must be small letters, digits and hyphens, such as mine"],
    ["billing", "--name is a word of the management API, such as my-billing"],
    ["waybill", "--name is the package that the worker's depends on, such as my-waybill"],
  ])("is refused where it is given and cannot be one: %s", (name, sentence) => refused({}, sentence, name));
});

describe("init refuses", () => {
  it("to write over what is there, and names it", () =>
    refused(
      { Dockerfile: "FROM scratch\n", "README.md": "mine", "other.ts": "" },
      `${folder} has Dockerfile, README.md already, and init overwrites nothing`,
    ));

  it("to write a file where a folder has its name", async () => {
    mkdirSync(join(folder, "Dockerfile"));
    await expect(initProject({ folder })).rejects.toThrow(`${folder} has Dockerfile already`);
  });

  it("a package that is none of ES modules", () =>
    refused({ "package.json": '{ "type": "commonjs" }' }, "npm pkg set type=module changes it"));

  it("a package whose image would not have waybill", () =>
    refused({ "package.json": '{ "devDependencies": { "waybill": "x" } }' }, "npm uninstall waybill first"));

  it("the project Waybill itself, where init was another command before", async () => {
    await expect(initProject({ folder: PROJECT_FOLDER })).rejects.toThrow(
      "what init was before is npm run admin -- setup now",
    );
  });

  it("a file in place of the folder", async () => {
    writeFileSync(join(folder, "file"), "");
    await expect(initProject({ folder: join(folder, "file") })).rejects.toThrow("is no folder");
  });
});
