// Starts our own workers, whose handlers are those of sdk-worker.ts.
import { join } from "node:path";
import type { RunningBroker } from "../running/broker.ts";
import { type WorkerProcess, WorkerProcesses } from "./worker-processes.ts";

export interface SdkWorkerOptions {
  readonly mode?: "plain" | "refresh" | "list" | "chunks" | "async" | "rules" | "hook fails";
  readonly jobsAtOnce?: number;
  readonly id?: string;
  readonly variables?: Readonly<Record<string, string>>;
}

const SCRIPT = join(import.meta.dirname, "sdk-worker.ts");

export class SdkWorkers extends WorkerProcesses {
  start(broker: Pick<RunningBroker, "url" | "workerKeys">, slug: string, options: SdkWorkerOptions): WorkerProcess {
    const { mode = "plain", jobsAtOnce = 1, ...program } = options;
    return this.launch(broker, slug, {
      command: process.execPath,
      args: ["--no-warnings", SCRIPT, mode, String(jobsAtOnce)],
      ...program,
    });
  }
}
