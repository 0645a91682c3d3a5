// Builds the npm package in a folder of its own: the repository itself is never packed, as its package is the broker's.
import { execFile } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { fieldsOf, parseJson, textOf } from "../../core/json/value.ts";
import { PROJECT_FOLDER } from "../folders.ts";
import { WrongUse } from "../wrong-use.ts";
import { bundleDeclarations } from "./declarations.ts";

const SDK = join(PROJECT_FOLDER, "src/sdk");
/** The oldest Node that the package runs on. */
const NODE = "20";

/** Nothing is imported but what Node has: a dependency would have to stand in the manifest. */
const BUNDLED = {
  bundle: true,
  platform: "node",
  format: "esm",
  target: `node${NODE}`,
  packages: "bundle",
  logLevel: "error",
} as const;

/** Writes the package anew into the folder. Throws what the compiler says where the source has faults. */
export async function buildPackage(folder: string): Promise<void> {
  assertReplaceable(folder);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, "worker"), { recursive: true });
  // First, so that a build that fails leaves what the next one may replace.
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest(), null, 2)}\n`);
  await bundleWorker(join(folder, "worker"));
  await bundleCommand(join(folder, "command"));
  writeFileSync(join(folder, "worker/worker.d.ts"), await declareWorker());
  copyFileSync(join(SDK, "README.md"), join(folder, "README.md"));
  copyFileSync(join(PROJECT_FOLDER, "LICENSE"), join(folder, "LICENSE"));
}

/** The folder is emptied, so it may hold nothing but an earlier build; the project's own package is private. */
function assertReplaceable(folder: string): void {
  if (!existsSync(folder) || readdirSync(folder).length === 0) return;
  const path = join(folder, "package.json");
  const found = existsSync(path) ? fieldsOf(parseJson(readFileSync(path, "utf8"))) : null;
  if (found?.name === "waybill" && found.private !== true) return;
  throw new WrongUse(`${folder} holds something else than a package that was built here`);
}

/** The thread is a file of its own beside the worker's, because it is started by its path. */
async function bundleWorker(folder: string): Promise<void> {
  await build({
    ...BUNDLED,
    entryPoints: [join(SDK, "worker.ts"), join(SDK, "heartbeat-thread.ts")],
    outdir: folder,
    // What is imported where it is needed stays a file of its own, beside the worker's: heartbeats are found by their place.
    splitting: true,
    chunkNames: "[name]-[hash]",
  });
}

/**
 * With zod, which checks what it reads; a worker needs none of it. What npm links by the manifest must be a program. What `dev` loads into a
 * worker, and the files of a new one, are found by their place beside it.
 */
async function bundleCommand(folder: string): Promise<void> {
  await build({
    ...BUNDLED,
    entryPoints: {
      waybill: join(PROJECT_FOLDER, "src/cli/installed.ts"),
      "dev-leash": join(PROJECT_FOLDER, "src/cli/project/dev-leash.ts"),
    },
    outdir: folder,
    banner: { js: "#!/usr/bin/env node" },
    // Names in stack traces of a bug report stay as they are in the source.
    minifySyntax: true,
    minifyWhitespace: true,
  });
  chmodSync(join(folder, "waybill.js"), 0o755);
  cpSync(join(PROJECT_FOLDER, "src/cli/project/template"), join(folder, "template"), { recursive: true });
}

async function declareWorker(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "waybill-declarations-"));
  try {
    const emit = ["--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--outDir", folder];
    await runTsc(["-p", join(PROJECT_FOLDER, "tsconfig.sdk.json"), "--rootDir", join(PROJECT_FOLDER, "src"), ...emit]);
    return bundleDeclarations(join(folder, "sdk"), "worker.d.ts");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runTsc(words: readonly string[]): Promise<void> {
  const tsc = join(PROJECT_FOLDER, "node_modules/.bin/tsc");
  try {
    await promisify(execFile)(tsc, [...words]);
  } catch (error) {
    // The compiler's sentences are on its standard output.
    throw new Error(textOf(fieldsOf(error), "stdout") || String(error));
  }
}

/** Version and license are the project's. */
function manifest(): object {
  const project = fieldsOf(parseJson(readFileSync(join(PROJECT_FOLDER, "package.json"), "utf8")));
  return {
    name: "waybill",
    version: project?.version,
    description: "Workers in TypeScript for Waybill and RunPod Serverless, and the command that deploys them",
    license: project?.license,
    type: "module",
    engines: { node: `>=${NODE}` },
    exports: { "./worker": { types: "./worker/worker.d.ts", default: "./worker/worker.js" } },
    bin: { waybill: "command/waybill.js" },
    files: ["command", "worker"],
  };
}
