// RunPod's own Python package in four versions, what the examples require, and a checker of OpenAPI documents, each in a virtual environment of its own, from whatever index pip is
// configured for. Made once and kept under .waybill/: delete the folder to get a newer release. Run before the first test.
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { PROJECT_FOLDER } from "../../src/cli/dev-database.ts";

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
  const made = await Promise.allSettled([...VERSIONS, "examples" as const, "schemathesis" as const].map(prepare));
  for (const result of made) if (result.status === "rejected") return { missing: messageOf(result.reason) };
  return {
    interpreters: {
      newest: interpreterOf("newest"),
      "2.0.0rc2": interpreterOf("2.0.0rc2"),
      "1.7.4": interpreterOf("1.7.4"),
      "1.6.2": interpreterOf("1.6.2"),
      examples: interpreterOf("examples"),
      schemathesis: interpreterOf("schemathesis"),
    },
  };
}

async function prepare(version: Environment): Promise<void> {
  const folder = folderOf(version);
  // Written last: a folder without it is what an interrupted run left.
  const ready = join(folder, "ready");
  if (existsSync(ready) && existsSync(interpreterOf(version))) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await step("python3 is missing or too old", "python3", [
    "-c",
    "import sys; assert sys.version_info >= (3, 10), sys.version",
  ]);
  await step("python3 has no venv", "python3", ["-m", "venv", folder]);
  const python = interpreterOf(version);
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
  const requirements = REQUIREMENTS[version];
  await step(`pip cannot install ${requirements.join(" ")}`, python, [...pip, ...requirements]);
  await step(`${requirements.join(" ")} cannot be imported`, python, [
    "-c",
    `import ${version === "schemathesis" ? "schemathesis" : "runpod.serverless"}`,
  ]);
  writeFileSync(ready, `${new Date().toISOString()}\n`);
}

function folderOf(version: Environment): string {
  return join(PROJECT_FOLDER, ".waybill", "conformance", version);
}

function interpreterOf(version: Environment): string {
  return join(folderOf(version), "bin", "python");
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
