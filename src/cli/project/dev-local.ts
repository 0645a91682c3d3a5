// A worker in development that serves on this machine, because there is no broker, or because its endpoint is load-balanced.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../core/failure.ts";
import { isPortFree, isPortOpen } from "../dev-ports.ts";
import { waitFor } from "../wait-for.ts";
import { CannotStart, type DevPlace, type DevStart, startOf } from "./dev-place.ts";
import type { DevScreen } from "./dev-screen.ts";
import { type ReservedPort, reservePort } from "./port-reservation.ts";
import type { ProjectSettings } from "./settings.ts";
import { shellWord } from "./shell-word.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** A model may take minutes to load, and until then nothing listens. */
const OPEN_MAX_MS = 3_600_000;
const ASKS_EVERY_MS = 100;

interface LocalOptions {
  readonly folder: string;
  readonly settings: ProjectSettings;
  readonly port: number | undefined;
  readonly screen: DevScreen;
}

/** Throws a sentence where the port is taken that was named. `reason`: why it serves here. */
export async function serveHere(options: LocalOptions, reason: string): Promise<DevPlace> {
  const reserved = await reservePort(options.port);
  options.screen.tell("note", `the worker serves on this machine: ${reason}`, { reason });
  return new LocalPlace(options, reserved);
}

class LocalPlace implements DevPlace {
  readonly #options: LocalOptions;
  readonly #isBalanced: boolean;
  #reserved: ReservedPort;
  /** A person is told once what to type, and once more where that has changed. */
  #isTold = false;

  constructor(options: LocalOptions, reserved: ReservedPort) {
    this.#options = options;
    this.#isBalanced = options.settings.type === "LOAD_BALANCER";
    this.#reserved = reserved;
  }

  /** While no worker runs another program may have taken the port. */
  async prepare(): Promise<DevStart> {
    const { folder, settings } = this.#options;
    if (!(await isPortFree(this.#reserved.port))) await this.#changePort();
    const port = String(this.#reserved.port);
    if (this.#isBalanced) return startOf(folder, settings, [], { ...settings.env, PORT: port });
    return startOf(folder, settings, ["--rp_serve_api", "--rp_api_port", port], settings.env);
  }

  async #changePort(): Promise<void> {
    this.#reserved.release();
    this.#reserved = await reservePort(this.#options.port).catch((error: unknown) => {
      throw new CannotStart(messageOf(error));
    });
    this.#isTold = false;
  }

  started(worker: WorkerProcess): void {
    void untilOpen(this.#reserved.port, worker).then((isOpen) => {
      if (!isOpen) return;
      const { folder, screen } = this.#options;
      const url = this.#url;
      const line = this.#isBalanced ? `curl ${url}/ping` : curlOf(url, folder);
      screen.tell("serving", `the worker is at ${url}`, { url }, this.#isTold ? [] : ["", `  ${line}`, ""]);
      this.#isTold = true;
    });
  }

  stopping(worker: WorkerProcess): void {
    if (this.#isBalanced) void askHealth(`${this.#url}/ping`, worker);
  }

  /** Such a worker ends by a fault, or because it is none; or because another program was faster to take the port. */
  async restarts(): Promise<boolean> {
    return !(await isPortFree(this.#reserved.port));
  }

  async end(): Promise<void> {
    this.#reserved.release();
  }

  get #url(): string {
    return `http://localhost:${this.#reserved.port}`;
  }
}

/** Resolves with false if the worker ends before it listens. */
async function untilOpen(port: number, worker: WorkerProcess): Promise<boolean> {
  let isOver = false;
  void worker.ended.then(() => {
    isOver = true;
  });
  await waitFor(async () => isOver || (await isPortOpen(port)) || undefined, Date.now() + OPEN_MAX_MS);
  return !isOver;
}

/**
 * A load-balanced worker that is to end goes on for seconds, until all who have asked for its health are told. Here nobody asks but a person
 * with curl.
 */
async function askHealth(url: string, worker: WorkerProcess): Promise<void> {
  const isOver = worker.ended.then(() => true);
  do
    await fetch(url)
      .then((answer) => answer.body?.cancel())
      .catch(() => undefined);
  while (!(await Promise.race([isOver, sleep(ASKS_EVERY_MS, false)])));
}

/** A line that runs a job: the one that the folder has for a try, else one whose input is to be filled in. */
function curlOf(url: string, folder: string): string {
  const file = join(folder, "test_input.json");
  const body = existsSync(file) ? `@${file}` : '{"input": {}}';
  return `curl ${url}/runsync -H 'content-type: application/json' -d ${shellWord(body)}`;
}
