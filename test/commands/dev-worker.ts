// A worker in development, as its author has it: a folder that `waybill init` has made with the installed package, and `waybill dev` in it.
import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";
import * as z from "zod";
import { startOf } from "../../src/cli/dev-processes.ts";
import type { InstalledPackage, Program } from "./installed-package.ts";
import type { Printed } from "./operator.ts";

const run = promisify(execFile);
/** A busy machine of two cores starts four processes of Node in it. */
const COMES_MAX_MS = 20_000;

const noteSchema = z.object({ pid: z.int(), since: z.string().nullable() });

type Environment = Readonly<Record<string, string>>;

export class DevWorker {
  readonly folder: string;
  readonly #installed: InstalledPackage;
  readonly #node: string;
  readonly #environment: Environment;
  readonly #started: DevProgram[] = [];

  private constructor(installed: InstalledPackage, folder: string, node: string) {
    this.folder = folder;
    this.#installed = installed;
    this.#node = node;
    // Nothing of the person who runs the tests decides which broker is meant.
    const path = `${dirname(node)}:${process.env.PATH}`;
    this.#environment = { PATH: path, HOME: installed.folder, XDG_CONFIG_HOME: join(installed.folder, "nobody's") };
  }

  /** Makes the folder, whose name is that of the endpoint, too. */
  static async make(installed: InstalledPackage, name: string, node: string): Promise<DevWorker> {
    const folder = join(installed.folder, "my workers", name);
    mkdirSync(folder, { recursive: true });
    const worker = new DevWorker(installed, folder, node);
    // What init.test.ts tests takes seconds of a processor: the package is neither packed nor installed once more here.
    const packed = `waybill-${installed.version}.tgz`;
    copyFileSync(join(installed.folder, packed), join(folder, packed));
    symlinkSync(join(installed.home, "node_modules"), join(folder, "node_modules"));
    await worker.waybill(["init"]);
    return worker;
  }

  /** The file with the handler. */
  get handler(): string {
    return this.#node === process.execPath ? "handler.ts" : "handler.js";
  }

  get #command(): string {
    return join(this.folder, "node_modules/.bin/waybill");
  }

  read(name: string): string {
    return readFileSync(join(this.folder, name), "utf8");
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  /** Puts another handler in place of the one that is there: a body, and a table of rules (any input). */
  writeHandler(body: string, rules = "undefined"): void {
    this.write(this.handler, `export const input = ${rules};\nexport async function handler(job) {\n${body}\n}\n`);
  }

  /** Starts a command that goes on until a signal, such as `waybill dev`. */
  start(words: readonly string[] = ["dev"], env: Environment = {}): DevProgram {
    return this.#start(this.#node, [this.#command, ...words], env);
  }

  /** The same at a terminal of its own, by script(1): SIGKILL closes the terminal. */
  startAtTerminal(words: readonly string[], env: Environment): DevProgram {
    const line = [this.#node, this.#command, ...words].map((word) => `'${word}'`).join(" ");
    return this.#start("script", ["--quiet", "--flush", "--command", `exec ${line}`, "/dev/null"], env);
  }

  /** The same by npx, which is what a signal then reaches. */
  startByNpx(words: readonly string[], env: Environment): DevProgram {
    return this.#start("npx", ["waybill", ...words], env);
  }

  #start(file: string, args: readonly string[], env: Environment): DevProgram {
    const program = this.#installed.run(file, args, { cwd: this.folder, env: { ...this.#environment, ...env } });
    const started = new DevProgram(program);
    this.#started.push(started);
    return started;
  }

  /** Ends what a test has left, such as one that has failed. */
  async stopAll(): Promise<void> {
    this.#killDev();
    for (const program of this.#started.splice(0)) {
      program.signal("SIGKILL");
      await program.ended;
    }
  }

  /** A signal to a terminal or to npx need not reach it. */
  #killDev(): void {
    const path = join(this.folder, ".waybill/dev.json");
    if (!existsSync(path)) return;
    const { pid, since } = noteSchema.parse(JSON.parse(readFileSync(path, "utf8")));
    if (since !== null && startOf(pid) === since) process.kill(pid, "SIGKILL");
  }

  waybill(words: readonly string[], env: Environment = {}): Promise<Printed> {
    return run(this.#node, [this.#command, ...words], { cwd: this.folder, env: { ...this.#environment, ...env } });
  }

  /** A line as a person types it in the folder. */
  async shell(line: string, env: Environment = {}): Promise<string> {
    const { stdout } = await run("sh", ["-c", line], { cwd: this.folder, env: { ...this.#environment, ...env } });
    return stdout;
  }
}

export class DevProgram {
  readonly #program: Program;

  constructor(program: Program) {
    this.#program = program;
  }

  get ended(): Promise<number | null> {
    return this.#program.ended;
  }

  printed(): string {
    return this.#program.printed();
  }

  signal(signal: NodeJS.Signals): void {
    this.#program.signal(signal);
  }

  /** Resolves with what the pattern has in brackets, when it has come so often. */
  async prints(pattern: RegExp, times = 1): Promise<string> {
    const all = () => [...this.printed().matchAll(new RegExp(pattern, `${pattern.flags}g`))];
    await expect.poll(() => all().length >= times || this.printed(), { timeout: COMES_MAX_MS }).toBe(true);
    return all()[times - 1]?.[1] ?? "";
  }

  /** Ends it as a Ctrl-C does. */
  async end(): Promise<void> {
    this.signal("SIGINT");
    expect(await this.ended).toBe(0);
  }
}
