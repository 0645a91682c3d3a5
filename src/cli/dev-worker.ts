// Starts the OCR worker of examples/ as a child process that ends with us.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { join } from "node:path";
import { PROJECT_FOLDER } from "./folders.ts";
import { waitFor } from "./wait-for.ts";

export interface OcrWorker {
  /** The base URL of the worker's endpoint, in the form of an upstream's address. */
  readonly url: string;
  stop(): Promise<void>;
}

const READY_MAX_MS = 30_000;
const STOP_MAX_MS = 3_000;

/** Starts the worker on a port and waits until its model is loaded. Its callers must send `key`. */
export async function startOcrWorker(port: number, key: string, logFile: string): Promise<OcrWorker> {
  const log = openSync(logFile, "a");
  const child = spawn(process.execPath, [join(PROJECT_FOLDER, "examples", "ocr-worker", "worker.ts")], {
    env: { ...process.env, PORT: String(port), OCR_WORKER_KEY: key },
    stdio: ["ignore", log, log, "ipc"],
  });
  const worker: OcrWorker = { url: `http://127.0.0.1:${port}/v2/ocr`, stop: () => stopChild(child) };
  const headers = { Authorization: `Bearer ${key}` };
  const started = await waitFor(async () => {
    if (child.exitCode !== null) return false;
    const answer = await fetch(`${worker.url}/health`, { headers }).catch(() => null);
    return answer?.ok === true || undefined;
  }, Date.now() + READY_MAX_MS);
  if (started === true) return worker;
  await worker.stop();
  throw new Error(`The OCR worker did not start; its output is in ${logFile}.`);
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), STOP_MAX_MS);
  await ended;
  clearTimeout(force);
}
