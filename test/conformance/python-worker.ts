// Starts RunPod's Python workers, whose handlers are those of worker.py.
import { join } from "node:path";
import { describe, inject, it } from "vitest";
import type { RunningBroker } from "../running/broker.ts";
import type { Environment } from "./python.ts";
import { type WorkerProcess, WorkerProcesses } from "./worker-processes.ts";

export type Interpreters = Readonly<Record<Environment, string>>;

/** A suite that needs Python. Without one it is a single skipped test that says why. */
export function describePython(title: string, suite: (interpreters: Interpreters) => void): void {
  const pythons = inject("pythons");
  describe(title, () => {
    if ("missing" in pythons) it.skip(pythons.missing);
    else suite(pythons.interpreters);
  });
}

export interface WorkerOptions {
  readonly version?: Environment;
  /** The handler of worker.py; not for another script. */
  readonly mode?:
    | "plain"
    | "refresh"
    | "refresh at once"
    | "list"
    | "chunks"
    | "async"
    | "hook"
    | "hook fails"
    | "hook fails at once";
  /** Instead of worker.py. */
  readonly script?: string;
  readonly jobsAtOnce?: number;
  /** Its RUNPOD_POD_ID; one of its own by default. */
  readonly id?: string;
}

const SCRIPT = join(import.meta.dirname, "worker.py");
const VARIABLES = {
  // Its checks of a machine open a connection to the internet, and want a share of the memory.
  RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: "true",
  PYTHONUNBUFFERED: "1",
  // A script that imports its neighbour would leave a folder beside them.
  PYTHONDONTWRITEBYTECODE: "1",
};

export class PythonWorkers extends WorkerProcesses {
  readonly #interpreters: Interpreters;

  /** Call it in a suite. */
  constructor(interpreters: Interpreters) {
    super();
    this.#interpreters = interpreters;
  }

  start(broker: RunningBroker, slug: string, options: WorkerOptions): WorkerProcess {
    const { version = "newest", mode = "plain", jobsAtOnce = 1, script = SCRIPT, id } = options;
    const args = [script, mode, String(jobsAtOnce)];
    const program = { command: this.#interpreters[version], args, variables: VARIABLES };
    return this.launch(broker, slug, { ...program, ...(id !== undefined && { id }) });
  }
}
