// Starts our own workers, whose handlers are those of sdk-worker.ts.
import { join } from "node:path";
import { callBroker, type RunningBroker } from "../running/broker.ts";
import { until, type WorkerProcess, WorkerProcesses } from "./worker-processes.ts";

export interface SdkWorkerOptions {
  readonly mode?: "plain" | "refresh" | "list" | "chunks" | "async" | "rules" | "hook fails";
  readonly jobsAtOnce?: number;
  readonly id?: string;
  readonly variables?: Readonly<Record<string, string>>;
}

/** A worker that serves an endpoint of its own. */
export interface LocalWorker extends Pick<RunningBroker, "call"> {
  readonly worker: WorkerProcess;
  readonly url: string;
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
  /** Starts a worker with `--rp_serve_api` on a free port. `script`: another one than that of the modes. */
  async serve(options: SdkWorkerOptions & { readonly script?: string }): Promise<LocalWorker> {
    const { mode = "plain", jobsAtOnce = 1, script = SCRIPT, ...program } = options;
    const args = ["--no-warnings", script, mode, String(jobsAtOnce), "--rp_serve_api", "--rp_api_port", "0"];
    const worker = this.run(mode, { command: process.execPath, args, ...program });
    const url = await until("the endpoint is served", () => /url=(http:\S+)/.exec(worker.log())?.[1]);
    return { worker, url, call: (path, body) => callBroker(`${url}${path}`, "any", { body }) };
  }
}
