// The package.json of a worker's folder: what `init` adds to one that is there, and that it loses nothing.
import { describe, expect, it } from "vitest";
import { completeManifest, installedFrom, newManifest, readManifest } from "../../src/cli/project/manifest.ts";

const WORKER = { name: "my-worker", worker: "worker.ts", tarball: "waybill-0.1.0.tgz" };
const complete = (text: string) => completeManifest(text, WORKER);
const SCRIPTS = { start: "node worker.ts", test: "node --test", dev: "waybill dev", deploy: "waybill deploy" };

describe("a package.json", () => {
  it("is made anew with all that a worker needs", () => {
    expect(JSON.parse(newManifest(WORKER))).toEqual({
      name: "my-worker",
      private: true,
      type: "module",
      scripts: SCRIPTS,
      dependencies: { waybill: "file:waybill-0.1.0.tgz" },
    });
  });

  it("is completed behind what it has, in the order, the indentation and the line breaks that it has", () => {
    const text =
      '{\r\n\t"scripts": { "z": "1", "dev": "mine" },\r\n\t"zebra": { "b": 1, "a": [2] },\r\n\t"name": "x"\r\n}\r\n';
    const { text: completed, notes } = complete(text);
    expect(completed.replaceAll("\r\n", "").includes("\n")).toBe(false);
    expect(completed).toMatch(/^\{\r\n\t"scripts": \{\r\n\t\t"z": "1",\r\n\t\t"dev": "mine",[\s\S]*\}\r\n$/);
    const { dev: _, ...others } = SCRIPTS;
    expect(JSON.stringify(JSON.parse(completed))).toBe(
      JSON.stringify({
        scripts: { z: "1", dev: "mine", ...others },
        zebra: { b: 1, a: [2] },
        name: "x",
        type: "module",
        dependencies: { waybill: "file:waybill-0.1.0.tgz" },
      }),
    );
    expect(notes).toEqual(["package.json keeps its script dev; that of a worker is: waybill dev"]);
  });

  it("is completed once: a second time nothing changes", () => {
    const { text } = complete('{ "name": "x" }');
    expect(complete(text)).toEqual({ text, notes: [] });
  });

  it("loses the script that npm init writes, which is no test", () => {
    const test = 'echo "Error: no test specified" && exit 1';
    const { text, notes } = complete(JSON.stringify({ scripts: { test } }));
    expect(JSON.parse(text).scripts.test).toBe("node --test");
    expect(notes).toEqual([]);
  });

  it("is installed from the tarball of the folder, wherever it was installed from before", () => {
    const text = JSON.stringify({ dependencies: { waybill: "file:../waybill-0.1.0.tgz", zod: "4.0.0" } });
    expect(installedFrom(readManifest(text))).toBe("../waybill-0.1.0.tgz");
    expect(JSON.parse(complete(text).text).dependencies).toEqual({ waybill: "file:waybill-0.1.0.tgz", zod: "4.0.0" });
    expect(installedFrom({ dependencies: { waybill: "0.1.0" } })).toBeNull();
  });

  it.each([
    ["{", "package.json is not JSON"],
    ["[]", "package.json holds no JSON object"],
    [
      '{ "type": "commonjs" }',
      'package.json has "type": "commonjs", and a worker is an ES module: npm pkg set type=module',
    ],
    ['{ "scripts": [] }', "scripts in package.json must be an object"],
  ])("is refused in one sentence: %s", (text, sentence) => {
    expect(() => complete(text)).toThrow(sentence);
  });

  it("is refused where an image would leave waybill out", () => {
    expect(() => installedFrom({ devDependencies: { waybill: "file:x.tgz" } })).toThrow("npm uninstall waybill first");
  });
});
