// Starts the OCR worker of examples/ as a child process that fetches its jobs from the broker, and ends with us.
import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { join } from "node:path";
import { type Api, part } from "./api.ts";
import { rowsOf } from "./commands/show.ts";
import { PROJECT_FOLDER } from "./folders.ts";
import { hasExited, stopChild } from "./stop-child.ts";
import { waitFor } from "./wait-for.ts";

export interface OcrWorkerOptions {
  readonly endpointId: string;
  /** By which it finds the broker: that of `npm run worker:env`. */
  readonly environment: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Called with the worker as soon as its process exists; it may end before it is ready. */
  readonly spawned: (worker: OcrWorker) => void;
}

export interface OcrWorker {
  /** Its name in the endpoint's list of workers. */
  readonly id: string;
  stop(): Promise<void>;
}

/** The same at each start, so that a job which was cut by the end of an earlier one is tried again at once. */
const WORKER_ID = "npm-start";
const READY_MAX_MS = 30_000;
const STOP_MAX_MS = 3_000;

/** Starts the worker and waits until its model is loaded and it asks for jobs. */
export async function startOcrWorker(api: Api, options: OcrWorkerOptions): Promise<OcrWorker> {
  const { endpointId, environment, logFile, spawned } = options;
  const log = openSync(logFile, "a");
  // The channel is for its end alone: it closes with this process, however that ends.
  const child = spawn(process.execPath, [join(PROJECT_FOLDER, "src", "cli", "dev-worker-process.ts")], {
    env: { ...process.env, ...environment, RUNPOD_POD_ID: WORKER_ID },
    stdio: ["ignore", log, log, "ipc"],
  });
  const worker: OcrWorker = { id: WORKER_ID, stop: () => stopChild(child, STOP_MAX_MS) };
  spawned(worker);
  const isReady = await waitFor(async () => {
    if (hasExited(child)) return false;
    const workers = rowsOf(await api.get(`/v1/endpoints/${part(endpointId)}/workers`), "workers");
    return workers.some(({ id }) => id === WORKER_ID) || undefined;
  }, Date.now() + READY_MAX_MS);
  if (isReady === true) return worker;
  throw new Error(`The OCR worker did not start; its output is in ${logFile}.`);
}
