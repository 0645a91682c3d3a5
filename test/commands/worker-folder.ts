// The folder of a worker for tests of `deploy`, a Docker that only notes what it is asked, and the command of the npm package there.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

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

/** Notes each call with its folder; a file in FAKE_DOCKER makes one kind of call fail. */
const DOCKER = `#!/bin/sh
echo "$* in $PWD" >> "$FAKE_DOCKER/calls"
echo "docker prints $1"
if [ -e "$FAKE_DOCKER/fails-$1" ]; then
  echo "docker cannot $1" >&2
  exit 17
fi
`;

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class WorkerFolder {
  /** Has a space in its path. */
  readonly path = mkdtempSync(join(tmpdir(), "a worker "));
  readonly #docker = mkdtempSync(join(tmpdir(), "fake-docker-"));
  readonly #place: WorkerPlace;

  constructor(place: WorkerPlace, settings: object) {
    this.#place = place;
    const sdk = pathToFileURL(join(place.built, "worker/worker.js")).href;
    writeFileSync(join(this.path, "worker.mjs"), workerText(sdk));
    writeFileSync(join(this.path, "Dockerfile"), "FROM scratch\n");
    this.configure(settings);
    mkdirSync(join(this.#docker, "bin"));
    writeFileSync(join(this.#docker, "bin/docker"), DOCKER, { mode: 0o755 });
  }

  /** Writes waybill.json. */
  configure(settings: object): void {
    writeFileSync(join(this.path, "waybill.json"), JSON.stringify({ worker: "worker.mjs", ...settings }));
  }

  /** Lets `docker WORD` fail, or not any more. */
  breakDocker(word: "version" | "build" | "push", isBroken = true): void {
    const path = join(this.#docker, `fails-${word}`);
    if (isBroken) writeFileSync(path, "");
    else rmSync(path);
  }

  /** What Docker was asked to do; that it was asked whether it is there is left out. */
  dockerCalls(): string[] {
    const path = join(this.#docker, "calls");
    const calls = existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
    return calls.filter((call) => !call.startsWith("version "));
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
    for (const folder of [this.path, this.#docker]) rmSync(folder, { recursive: true, force: true });
  }

  get #program(): string {
    return join(this.#place.built, "command/waybill.js");
  }

  async #run(program: string, args: readonly string[], input: string): Promise<Ended> {
    const { url: WAYBILL_URL, key: WAYBILL_KEY } = this.#place;
    const PATH = `${join(this.#docker, "bin")}${delimiter}${process.env.PATH}`;
    const env = { ...process.env, WAYBILL_URL, WAYBILL_KEY, PATH, FAKE_DOCKER: this.#docker };
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
