// `start({ handler })`: what a worker's file ends with.
import type { WorkerConfig } from "./handler.ts";
import { makeLog, readLogOptions } from "./log.ts";
import { runWorker } from "./run-worker.ts";

/**
 * Starts a worker and ends the process when it is done: with 0 after a shutdown, with 1 where it cannot work. The environment is that of
 * RunPod's workers, which `npm run worker:env` prints.
 */
export async function start<Input = unknown>(config: WorkerConfig<Input>): Promise<void> {
  const log = makeLog(readLogOptions(process.env, (line) => process.stdout.write(`${line}\n`)));
  try {
    // The input of each job is checked by the schema that gave the handler its type.
    process.exitCode = await runWorker(config as WorkerConfig, process.env, log);
  } catch (error) {
    log.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
  // A model may keep timers and threads that would keep the process alive.
  process.exit();
}
