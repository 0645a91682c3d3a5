// Starts workers as their users would, with the environment that `npm run worker:env` prints, and leaves nothing of them behind: each
// has a process group of its own, because the heartbeat process of RunPod's SDK outlives it.
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach } from "vitest";
import * as z from "zod";
import { isGroupAlive, signalGroup } from "../../src/cli/dev-processes.ts";
import { inForm } from "../../src/core/manage/worker-forms.ts";
import type { RunningBroker } from "../running/broker.ts";

/** What is run as a worker. */
export interface WorkerProgram {
  readonly command: string;
  readonly args: readonly string[];
  /** Its RUNPOD_POD_ID; one of its own by default. */
  readonly id?: string;
  /** Where it runs; the folder of the suite by default. */
  readonly cwd?: string;
  /** Beside what every worker gets. */
  readonly variables?: Readonly<Record<string, string>>;
}

export interface WorkerProcess {
  readonly id: string;
  /** The process id of its main process, and the number of its group. */
  readonly pid: number;
  /** The exit code of the main process; null: a signal ended it; undefined: it runs. */
  exitCode(): number | null | undefined;
  /** All of its log so far. */
  log(): string;
  /** A signal to the main process alone. */
  signal(signal: NodeJS.Signals): void;
  /** `kill -9` of the whole group. Resolves when no process of it is left. */
  kill9(): Promise<void>;
}

const runSchema = z.object({ jobId: z.string(), pid: z.int(), atMs: z.int() });
const markSchema = z.object({ worker: z.string(), atMs: z.int() });
const LOG_SHOWN_LINES = 30;
const GONE_MAX_MS = 10_000;

/** The workers of one suite, and the folder in which their handlers and the test leave files for each other. */
export class WorkerProcesses {
  /** Where handlers and the test leave files for each other. */
  readonly folder = mkdtempSync(join(tmpdir(), "waybill-workers-"));
  readonly #started: WorkerProcess[] = [];

  /** Call it in a suite: it shows the logs of a failed test, and stops everything when the suite ends, however it ends. */
  constructor() {
    afterEach(({ task }) => {
      if (task.result?.state === "fail") this.#showLogs();
    });
    afterAll(async () => {
      await Promise.all(this.#started.map((worker) => worker.kill9()));
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  launch(broker: Pick<RunningBroker, "url" | "workerKeys">, slug: string, program: WorkerProgram): WorkerProcess {
    const place = broker.workerKeys[slug];
    if (place === undefined) throw new Error(`the endpoint ${slug} has no key for workers`);
    return this.run(slug, {
      ...program,
      variables: { ...variablesOf({ base: broker.url, gpu: "X", ...place }), ...program.variables },
    });
  }

  /** Starts a process that has no broker. */
  run(slug: string, program: WorkerProgram): WorkerProcess {
    const number = this.#started.length + 1;
    const id = program.id ?? `${slug}-${number}`;
    const logFile = join(this.folder, `${number}-${id}.log`);
    const variables = {
      RUNPOD_POD_ID: id,
      // A key in the configuration file of whoever runs the tests would go before the one given here.
      HOME: this.folder,
      PATH: process.env.PATH ?? "",
      WAYBILL_TEST_FOLDER: this.folder,
      WAYBILL_TEST_RUNNER: String(process.pid),
      ...program.variables,
    };
    const log = openSync(logFile, "w");
    const child = spawn(program.command, program.args, {
      env: variables,
      cwd: program.cwd ?? this.folder,
      stdio: ["ignore", log, log],
      detached: true,
    });
    closeSync(log);
    const { pid } = child;
    if (pid === undefined) throw new Error(`the worker ${id} cannot be started`);
    const worker: WorkerProcess = {
      id,
      pid,
      exitCode: () => (child.exitCode === null && child.signalCode === null ? undefined : child.exitCode),
      log: () => readFileSync(logFile, "utf8"),
      signal: (signal) => void child.kill(signal),
      kill9: async () => {
        signalGroup(pid, "SIGKILL");
        await until(`the group of ${id} is gone`, () => !isGroupAlive(pid), GONE_MAX_MS);
      },
    };
    this.#started.push(worker);
    return worker;
  }

  /** Lets a handler that holds go on. */
  release(name: string): void {
    writeFileSync(join(this.folder, `${name}.release`), "");
  }

  has(name: string, what: "started" | "cancelled" | "ended"): boolean {
    return existsSync(join(this.folder, `${name}.${what}`));
  }

  /** What a handler left for the test, as soon as it is there: which worker, and when. */
  async mark(name: string, what: "started" | "cancelled" | "ended", maxMs = 30_000) {
    await until(`${name} is ${what}`, () => this.has(name, what), maxMs);
    return markSchema.parse(JSON.parse(readFileSync(join(this.folder, `${name}.${what}`), "utf8")));
  }

  /** Makes the handler's next start visible again. */
  unmark(name: string, what: "started"): void {
    rmSync(join(this.folder, `${name}.${what}`));
  }

  /** Each run of the handlers that leave a line under this name, in the order in which they began. */
  runs(name: string) {
    return readRuns(this.folder, name);
  }

  #showLogs(): void {
    for (const worker of this.#started) {
      const end = worker.log().trimEnd().split("\n").slice(-LOG_SHOWN_LINES).join("\n");
      console.error(`--- the log of worker ${worker.id} ends with:\n${end}`);
    }
  }
}

/** The lines that handlers have left in a folder under this name (sdk-marks.ts). */
export function readRuns(folder: string, name: string) {
  const path = join(folder, `${name}.runs`);
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
  // What is behind the last end of a line is being written.
  return lines.slice(0, -1).map((line) => runSchema.parse(JSON.parse(line)));
}

/** The form that a container reads, so that what users are told to use is what is tested. */
function variablesOf(place: Parameters<typeof inForm>[1]): Record<string, string> {
  return Object.fromEntries(
    inForm("docker", place).lines.map((line) => {
      const mark = line.indexOf("=");
      return [line.slice(0, mark), line.slice(mark + 1)];
    }),
  );
}

/** Polls until something is so. A promise with `false` or `undefined` is not so; the first other value comes back. */
export async function until<T>(
  what: string,
  check: () => T | false | undefined | Promise<T | false | undefined>,
  maxMs = 30_000,
): Promise<T> {
  const lastMs = Date.now() + maxMs;
  while (true) {
    const value = await check();
    if (value !== false && value !== undefined) return value;
    if (Date.now() > lastMs) throw new Error(`${maxMs} ms have passed, and it is not so: ${what}`);
    await sleep(50);
  }
}

const submittedSchema = z.object({ id: z.string() });
const statusSchema = z.looseObject({ id: z.string(), status: z.string() });
const usageSchema = z.object({
  lines: z.array(z.looseObject({ seconds: z.int(), startedAt: z.int(), finishedAt: z.int() })),
});

/** Submits a job and resolves with its id. */
export async function submit(
  broker: Pick<RunningBroker, "call">,
  slug: string,
  input: unknown,
  policy?: object,
): Promise<string> {
  const response = await broker.call(`/v2/${slug}/run`, JSON.stringify({ input, ...(policy && { policy }) }));
  return submittedSchema.parse(await response.json()).id;
}

/** The job's status as a client sees it. */
export async function statusOf(broker: Pick<RunningBroker, "call">, slug: string, id: string) {
  return statusSchema.parse(await (await broker.call(`/v2/${slug}/status/${id}`)).json());
}

/** The billed lines of a job. */
export async function billOf(broker: RunningBroker, id: string) {
  return usageSchema.parse(await (await broker.call(`/v1/usage?job=${id}`)).json()).lines;
}
