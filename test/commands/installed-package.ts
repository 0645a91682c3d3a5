// The npm package as its users get it: built, packed, and installed without a network in an empty folder whose path has
// a space.
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll } from "vitest";
import * as z from "zod";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { runCommand } from "./operator.ts";

const run = promisify(execFile);
const projectSchema = z.object({ version: z.string() });

/** The Node of the project, and the system's where it is of the oldest release that the package says it runs on. */
export const NODES = [process.execPath, "/usr/bin/node"].flatMap((node) => {
  if (!existsSync(node)) return [];
  const release = execFileSync(node, ["--version"], { encoding: "utf8" }).trim();
  return node === process.execPath || release.startsWith("v20.") ? [{ node, release }] : [];
});

/** A program that uses the package. */
export interface Program {
  /** All that it has printed so far. */
  printed(): string;
  signal(signal: NodeJS.Signals): void;
  readonly stdin: NodeJS.WritableStream;
  /** Its exit code. */
  readonly ended: Promise<number | null>;
}

interface RunOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

export class InstalledPackage {
  readonly folder = mkdtempSync(join(tmpdir(), "waybill package "));
  readonly built = join(this.folder, "built");
  readonly home = join(this.folder, "a worker");
  readonly version = projectSchema.parse(
    JSON.parse(readFileSync(join(PROJECT_FOLDER, "package.json"), "utf8")),
  ).version;
  /** npm as a person calls it: without the settings that `npm run` hands down, and with an empty cache. */
  readonly npmEnvironment = {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.toLowerCase().startsWith("npm_"))),
    npm_config_cache: join(this.folder, "no cache"),
  };
  readonly #children: ChildProcess[] = [];

  /** Call it in a file of tests: it is there before the first one, and nothing is left of it behind the last. */
  constructor() {
    beforeAll(() => this.#install());
    afterAll(() => {
      for (const child of this.#children) child.kill("SIGKILL");
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  /** Gives the author of a program a package of this project's. */
  lend(name: string): void {
    const place = join(this.home, "node_modules", name);
    if (!existsSync(place)) symlinkSync(join(PROJECT_FOLDER, "node_modules", name), place);
  }

  start(node: string, text: string, env: Readonly<Record<string, string>> = {}, args: readonly string[] = []): Program {
    const file = join(this.home, `program-${this.#children.length}.mjs`);
    writeFileSync(file, text);
    return this.run(node, [file, ...args], { cwd: this.home, env });
  }

  /** Runs a program with a Node, and nothing but PATH of this process's environment. */
  run(node: string, args: readonly string[], { cwd, env }: RunOptions): Program {
    const child = spawn(node, [...args], { cwd, env: { PATH: process.env.PATH, ...env } });
    this.#children.push(child);
    let printed = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        printed += chunk;
      });
    }
    return {
      printed: () => printed,
      signal: (signal) => void child.kill(signal),
      stdin: child.stdin,
      ended: once(child, "close").then(([code]) => code),
    };
  }

  async #install(): Promise<void> {
    const { built, folder, home, npmEnvironment: env, version } = this;
    await runCommand("package.ts", ["--out", built]);
    await run("npm", ["pack", "--pack-destination", folder], { cwd: built, env });
    mkdirSync(home);
    await run("npm", ["install", "--offline", join(folder, `waybill-${version}.tgz`)], { cwd: home, env });
  }
}
