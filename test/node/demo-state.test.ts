// The folder that the scale demo makes anew for each run: whatever else has its name stays.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makeDemoState } from "../../src/cli/scale-demo/state.ts";

let state: string;
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), "waybill-demo-state-test-"));
});
afterEach(() => rmSync(state, { recursive: true, force: true }));

it("is made where there is none, and anew where a demo has left it, also in the middle of its start", () => {
  const folder = makeDemoState(state);
  expect(folder).toBe(join(state, "scale-demo"));
  const kept = readdirSync(folder);
  mkdirSync(join(folder, "v3"));
  writeFileSync(join(folder, "broker.log"), "");
  expect(makeDemoState(state)).toBe(folder);
  expect(readdirSync(folder)).toEqual(kept);
});

it("is made where its folder is empty", () => {
  mkdirSync(join(state, "scale-demo"));
  expect(existsSync(makeDemoState(state))).toBe(true);
});

it("is not made where a person has something of that name, which stays", () => {
  const folder = join(state, "scale-demo");
  mkdirSync(folder);
  writeFileSync(join(folder, "thesis.txt"), "");
  const refusal = `${folder} is not of an earlier scale demo`;
  expect(() => makeDemoState(state)).toThrow(refusal);
  expect(readdirSync(folder)).toEqual(["thesis.txt"]);
  rmSync(folder, { recursive: true });
  writeFileSync(folder, "");
  expect(() => makeDemoState(state)).toThrow(refusal);
  rmSync(folder);
  symlinkSync(state, folder);
  expect(() => makeDemoState(state)).toThrow(refusal);
});
