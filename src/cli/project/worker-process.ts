// One process of a worker on this machine, whose output is read line by line.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { extname } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { signalGroup } from "../dev-processes.ts";

export type OutputStream = "stdout" | "stderr";

export interface WorkerStart {
  readonly file: string;
  readonly args: readonly string[];
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly printed: (stream: OutputStream, line: string) => void;
}

export interface WorkerEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface WorkerProcess {
  readonly pid: number;
  /** Resolves when it has ended, and all that it has printed was handed on. */
  readonly ended: Promise<WorkerEnd>;
  /** Lets its jobs end. */
  terminate(): void;
  /** Ends it, and all that it has started. */
  kill(): void;
}

/** What ends a worker that this process has left behind. It is beside this file, in the source and in the package. */
export const LEASHED = ["--import", new URL(`./dev-leash${extname(import.meta.url)}`, import.meta.url).href];
/** For output that is kept open by what the worker has started, and has let go of. */
const OUTPUT_MAX_MS = 500;

export function startWorker({ file, args, folder, env, printed }: WorkerStart): WorkerProcess {
  const child = spawn(process.execPath, [...LEASHED, file, ...args], {
    cwd: folder,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own: a Ctrl-C in the terminal is for this process, which then ends the worker in order.
    detached: true,
  });
  child.on("error", () => undefined);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${process.execPath} could not be started`);
  const drained = (["stdout", "stderr"] as const).map((name) => {
    const lines = createInterface({ input: child[name] });
    lines.on("line", (line) => printed(name, line));
    return once(lines, "close");
  });
  const exited = new Promise<WorkerEnd>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  const ended = exited.then(async (end) => {
    signalGroup(pid, "SIGKILL");
    await Promise.race([Promise.all(drained), sleep(OUTPUT_MAX_MS)]);
    child.stdout.destroy();
    child.stderr.destroy();
    return end;
  });
  return {
    pid,
    ended,
    terminate: () => void child.kill("SIGTERM"),
    kill: () => signalGroup(pid, "SIGKILL"),
  };
}
