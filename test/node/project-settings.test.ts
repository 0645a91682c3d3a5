// waybill.json: what may stand in it, and the sentences about what may not.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { fieldsInFile, requireSettings } from "../../src/cli/project/settings.ts";

const folder = mkdtempSync(join(tmpdir(), "waybill-settings-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(settings: object): void {
  writeFileSync(join(folder, "waybill.json"), JSON.stringify(settings));
}

it("is missed by its name", () => {
  expect(() => requireSettings(folder)).toThrow(`there is no waybill.json in ${folder}`);
});

it("needs nothing but the name of an endpoint, and tells what stands in it from what it has by default", () => {
  write({ endpoint: "my-worker" });
  expect(requireSettings(folder)).toEqual({
    endpoint: "my-worker",
    type: "QUEUE",
    worker: "worker.js",
    tier: "a4000",
    slots: 1,
    env: {},
    settings: {},
  });
  expect(fieldsInFile(folder)).toEqual(new Set(["endpoint"]));
});

it("takes the name of an image as registries have them, and none with a tag or a digest", () => {
  for (const image of [
    "w",
    "you/my_worker",
    "ghcr.io/you/my-worker",
    "localhost:5000/a/b.c",
    "Registry.example:443/a__b",
  ]) {
    write({ endpoint: "w", image });
    expect(requireSettings(folder).image).toBe(image);
  }
  for (const image of [
    "",
    "w:1",
    "ghcr.io/you/w:1",
    "w@sha256:00",
    "-x/y",
    "a//b",
    "a/",
    "a/B",
    "a b",
    "a".repeat(256),
  ]) {
    write({ endpoint: "w", image });
    expect(() => requireSettings(folder), image).toThrow("waybill.json is wrong: image: ");
  }
});

it("is refused with each field that is wrong", () => {
  write({ endpoint: "My Worker", tiers: "a4000", settings: { workers: { max: -1 }, image: "w" } });
  for (const field of ["endpoint: must be small letters", "it: ", '"tiers"', "settings.workers.max: ", '"image"'])
    expect(() => requireSettings(folder)).toThrow(field);
});
