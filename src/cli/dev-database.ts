// The local D1 database of a persist folder, reached by wrangler's command or by its platform in this process.
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { messageOf } from "../core/failure.ts";
import { type Database, runAll, type Statement } from "../db/statement.ts";
import { PROJECT_FOLDER } from "./folders.ts";

/** Rows of one statement may be long; an output above this size means that something is wrong. */
const OUTPUT_MAX_BYTES = 64 * 1024 * 1024;

/** How to run wrangler with the Node of this process, whatever PATH contains. */
export function wranglerCommand(args: readonly string[]): { readonly file: string; readonly args: string[] } {
  const script = join(PROJECT_FOLDER, "node_modules", "wrangler", "bin", "wrangler.js");
  return { file: process.execPath, args: [script, ...args] };
}

/** Runs wrangler offline and without questions, with its own files beside the state and not in the home folder. */
export function wranglerEnvironment(persistTo: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    CI: "1",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    NO_COLOR: "1",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_LOG_PATH: join(persistTo, "wrangler-logs"),
    WRANGLER_REGISTRY_PATH: join(persistTo, "registry"),
  };
}

/** Brings the database of the folder up to the newest migration. */
export async function applyMigrations(persistTo: string): Promise<void> {
  mkdirSync(persistTo, { recursive: true });
  const args = ["d1", "migrations", "apply", "waybill", "--local", "--persist-to", persistTo];
  await runWrangler(args, wranglerEnvironment(persistTo)).catch((error: unknown) => {
    throw new Error(`wrangler d1 migrations apply failed: ${messageOf(error)}`);
  });
}

/**
 * Runs statements, all of them or none, and returns the rows of each. It does so in this process, because wrangler's
 * command takes a second to start, and an operator's command runs three; and because only the binding takes parameters.
 */
export async function executeOnFolder(persistTo: string, statements: readonly Statement[]): Promise<unknown[][]> {
  process.env.CLOUDFLARE_CF_FETCH_ENABLED = "false";
  // Imported here, because it takes half a second to load and only a caller that runs SQL should wait for it.
  const { getPlatformProxy, unstable_readConfig: readConfig } = await import("wrangler");
  const { compatibility_date, d1_databases } = readConfig({ config: join(PROJECT_FOLDER, "wrangler.toml") });
  // The configuration leaves out the broker's objects, which the database does not need and this process does not have.
  const configPath = join(persistTo, "database.json");
  writeFileSync(configPath, JSON.stringify({ name: "waybill-database", compatibility_date, d1_databases }));
  const proxy = await getPlatformProxy<{ DB: Database }>({ configPath, persist: { path: join(persistTo, "v3") } });
  try {
    return await runAll(proxy.env.DB, statements);
  } finally {
    await proxy.dispose();
  }
}

/** Runs wrangler to its end, with `input` to read, and returns its output. Throws that output when it fails. */
export async function runWrangler(words: readonly string[], env = process.env, input = ""): Promise<string> {
  const { file, args } = wranglerCommand(words);
  const options = { cwd: PROJECT_FOLDER, env, maxBuffer: OUTPUT_MAX_BYTES };
  try {
    const running = promisify(execFile)(file, args, options);
    // A command that ends without reading closes the pipe, and its own error says why.
    running.child.stdin?.on("error", () => {});
    running.child.stdin?.end(input);
    return (await running).stdout;
  } catch (error) {
    // The message of execFile only repeats the command; the reason of the failure is in wrangler's output.
    const output = error instanceof Error && "stdout" in error && "stderr" in error;
    throw new Error(output ? `${String(error.stdout)}${String(error.stderr)}`.trim() : String(error));
  }
}
