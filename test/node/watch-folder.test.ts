// Which changes below a folder are told, in real folders: a burst once, whatever an editor does, and nothing of packages or hidden folders.
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { watchFolder } from "../../src/cli/project/watch-folder.ts";

let folder: string;
let bursts: (readonly string[])[];
let close: () => void;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "waybill watch "));
  for (const name of ["handler.js", "model/words.json", "node_modules/x/index.js", ".git/index"]) write(name);
  bursts = [];
  const fails = (sentence: string) => expect.fail(sentence);
  close = watchFolder(folder, { changed: (names) => void bursts.push(names), fails }).close;
});

afterEach(() => {
  close();
  rmSync(folder, { recursive: true, force: true });
});

function write(name: string, text = "1"): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), text);
}

/** As many editors save a file: the new one is written beside it and takes its place. */
function save(name: string): void {
  write(`${name}.new`, "2");
  renameSync(join(folder, `${name}.new`), join(folder, name));
}

/** The files of the next burst. */
async function next(count = 1): Promise<readonly string[] | undefined> {
  await expect.poll(() => bursts.length, { interval: 10 }).toBe(count);
  return bursts.at(-1);
}

it("a burst of changes is told once, with each file", async () => {
  for (const text of ["a", "b", "c"]) write("handler.js", text);
  write("model/words.json", "2");
  expect(await next()).toEqual(["handler.js", join("model", "words.json")]);
});

it("a file that an editor has put another one in the place of is watched all the same", async () => {
  save("handler.js");
  expect(await next()).toContain("handler.js");
  save("handler.js");
  expect(await next(2)).toContain("handler.js");
  write("handler.js", "3");
  expect(await next(3)).toEqual(["handler.js"]);
});

it("new folders are watched, and those that were deleted and made anew", async () => {
  write("lib/a.js");
  await next();
  write("lib/a.js", "2");
  expect(await next(2)).toEqual([join("lib", "a.js")]);
  rmSync(join(folder, "model"), { recursive: true });
  write("model/words.json", "3");
  await next(3);
  write("model/words.json", "4");
  expect(await next(4)).toEqual([join("model", "words.json")]);
});

it("packages, hidden folders and what editors leave are not told", async () => {
  write("node_modules/x/index.js", "2");
  write(".git/index", "2");
  write(".waybill/dev.log", "2");
  write(".handler.js.swp");
  write("handler.js~");
  write("last.js");
  const names = await next();
  expect(names).toContain("last.js");
  expect(names?.filter((name) => !["last.js", ".waybill"].includes(name))).toEqual([]);
});
