// The local D1 database of a persist folder, reached through wrangler while the broker is down.
import { execFile } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The folder of wrangler.toml. */
export const PROJECT_FOLDER = fileURLToPath(new URL("../..", import.meta.url));
/** Rows of one statement may be long; past this something is wrong. */
const OUTPUT_MAX_BYTES = 64 * 1024 * 1024;

/** How to run wrangler with this very Node, whatever stands in PATH. */
export function wranglerCommand(args: readonly string[]): { readonly file: string; readonly args: string[] } {
  const script = join(PROJECT_FOLDER, "node_modules", "wrangler", "bin", "wrangler.js");
  return { file: process.execPath, args: [script, ...args] };
}

/** wrangler offline, without questions, with its own files beside the state instead of in the home folder. */
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
  await wrangler(["d1", "migrations", "apply", "waybill"], persistTo);
}

/** Runs SQL text and returns the rows of each statement. */
export async function executeSql(persistTo: string, sql: string): Promise<unknown[][]> {
  const file = join(persistTo, `statement-${process.pid}.sql`);
  // The text may hold a sealed secret, and arguments are visible to every process of the machine.
  writeFileSync(file, sql, { mode: 0o600 });
  try {
    return parseResults(await wrangler(["d1", "execute", "waybill", "--json", "--yes", "--file", file], persistTo));
  } finally {
    rmSync(file, { force: true });
  }
}

async function wrangler(args: readonly string[], persistTo: string): Promise<string> {
  const { file, args: all } = wranglerCommand([...args, "--local", "--persist-to", persistTo]);
  const options = { cwd: PROJECT_FOLDER, env: wranglerEnvironment(persistTo), maxBuffer: OUTPUT_MAX_BYTES };
  try {
    const { stdout } = await run(file, all, options);
    return stdout;
  } catch (error) {
    const output = error instanceof Error && "stdout" in error && "stderr" in error;
    const said = output ? `${String(error.stdout)}${String(error.stderr)}`.trim() : String(error);
    throw new Error(`wrangler ${args.slice(0, 3).join(" ")} failed: ${said}`);
  }
}

/** wrangler prints one object a statement: `[{ "results": [row…], "success": true, … }, …]`. */
function parseResults(stdout: string): unknown[][] {
  const parsed: unknown = JSON.parse(stdout.slice(Math.max(0, stdout.indexOf("["))));
  if (!Array.isArray(parsed)) throw new Error("wrangler printed something else than a list of results");
  return parsed.map((statement: unknown) => {
    const results =
      typeof statement === "object" && statement !== null && "results" in statement ? statement.results : [];
    return Array.isArray(results) ? results : [];
  });
}
