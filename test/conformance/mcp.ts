// RunPod's MCP server, by which language models manage endpoints, and the SDK that speaks to it, from whatever registry npm is configured
// for. Installed once into .waybill/, apart from the packages of the project: delete the folder to install anew. Run before the first test.
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";

const PACKAGES = ["@runpod/mcp-server@4.0.0", "@modelcontextprotocol/sdk@1.32.2"];
const FOLDER = join(PROJECT_FOLDER, ".waybill", "conformance", "mcp");
const INSTALL_MAX_MS = 5 * 60_000;

/** Where both are installed, or why they are not. */
export type McpPackages = { readonly folder: string } | { readonly missing: string };

declare module "vitest" {
  export interface ProvidedContext {
    mcp: McpPackages;
  }
}

/** Called once by vitest. In CI a failed installation fails the run: there nobody reads that something was skipped. */
export async function setup(project: TestProject): Promise<void> {
  const packages = await install().then(
    () => ({ folder: FOLDER }),
    (error: unknown) => ({ missing: `npm cannot install ${PACKAGES.join(" and ")} (${String(error)})` }),
  );
  project.provide("mcp", packages);
  if (!("missing" in packages)) return;
  if (process.env.CI !== undefined && process.env.CI !== "") throw new Error(packages.missing);
  console.error(packages.missing);
}

async function install(): Promise<void> {
  // Written last: a folder without it is what an interrupted run left.
  const ready = join(FOLDER, "ready");
  if (existsSync(ready)) return;
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, "package.json"), '{"private":true}\n');
  // No script of a package runs: neither needs one.
  const args = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", ...PACKAGES];
  await promisify(execFile)("npm", args, { cwd: FOLDER, timeout: INSTALL_MAX_MS });
  writeFileSync(ready, `${new Date().toISOString()}\n`);
}
