// The folder of a worker for tests of `deploy`, with the command of the npm package and a Docker of its own.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import { FakeDocker } from "./fake-docker.ts";

/** A worker whose handler needs a number `a`. `sdk`: the address of `waybill/worker`. */
const workerText = (sdk: string) => `
import { start } from ${JSON.stringify(sdk)};

await start({ handler: ({ input }) => input.a, input: { a: { type: "int", required: true } } });
`;

/** Whom the command finds its broker by, and which command it is. */
export interface WorkerPlace {
  /** The folder of the built npm package. */
  readonly built: string;
  readonly url: string;
  readonly key: string;
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class WorkerFolder {
  /** Has a space in its path. */
  readonly path = mkdtempSync(join(tmpdir(), "a worker "));
  readonly #docker = new FakeDocker();
  readonly #place: WorkerPlace;

  constructor(place: WorkerPlace, settings: object) {
    this.#place = place;
    const sdk = pathToFileURL(join(place.built, "worker/worker.js")).href;
    writeFileSync(join(this.path, "worker.mjs"), workerText(sdk));
    writeFileSync(join(this.path, "Dockerfile"), "FROM scratch\n");
    this.configure(settings);
  }

  /** Writes waybill.json. */
  configure(settings: object): void {
    writeFileSync(join(this.path, "waybill.json"), JSON.stringify({ worker: "worker.mjs", ...settings }));
  }

  /** Lets `docker WORD` fail, or not any more. */
  breakDocker(word: "version" | "build" | "push", isBroken = true): void {
    this.#docker.break(word, isBroken);
  }

  /** What Docker was asked to do. */
  dockerCalls(): string[] {
    return this.#docker.calls();
  }

  /** Runs `deploy` in the folder without a terminal. */
  deploy(words: string, node = process.execPath): Promise<Ended> {
    return this.#run(node, [this.#program, "deploy", ...wordsOf(words)], "");
  }

  /** Runs it at a terminal, by script(1), where somebody types this. */
  deployAtTerminal(words: string, typed: string): Promise<Ended> {
    const line = [process.execPath, this.#program, "deploy", ...wordsOf(words)].map((word) => `'${word}'`).join(" ");
    return this.#run("script", ["--quiet", "--return", "--command", line, "/dev/null"], typed);
  }

  discard(): void {
    rmSync(this.path, { recursive: true, force: true });
    this.#docker.discard();
  }

  get #program(): string {
    return join(this.#place.built, "command/waybill.js");
  }

  async #run(program: string, args: readonly string[], input: string): Promise<Ended> {
    const { url: WAYBILL_URL, key: WAYBILL_KEY } = this.#place;
    const env = { ...process.env, WAYBILL_URL, WAYBILL_KEY, ...this.#docker.environment };
    const child = spawn(program, args, { cwd: this.path, env });
    child.stdin.end(input);
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { code: await ended, stdout, stderr };
  }
}

function wordsOf(words: string): string[] {
  return words.split(" ").filter((word) => word !== "");
}
