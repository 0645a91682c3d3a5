// Where the jobs of a worker in development come from. dev-attached.ts and dev-local.ts are the two there are.
import { messageOf } from "../../core/failure.ts";
import type { ProjectSettings } from "./settings.ts";
import { workerEnvironment, workerFile } from "./worker-file.ts";
import type { WorkerEnd, WorkerProcess } from "./worker-process.ts";

/** How the worker is started. */
export interface DevStart {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export interface DevPlace {
  /** Is called before each start. Throws CannotStart where the files of the worker have to change first. */
  prepare(): Promise<DevStart>;
  /** Is called behind each start. */
  started(worker: WorkerProcess): void;
  /** Is called when a worker was told to end. */
  stopping(worker: WorkerProcess): void;
  /** Is a worker that has ended by itself to be started again, without a change? */
  restarts(end: WorkerEnd): Promise<boolean>;
  /** Is called once, when the last worker has ended. */
  end(): Promise<void>;
}

/** The worker, as its files are now, cannot be started. */
export class CannotStart extends Error {}

/** Throws CannotStart where the worker's file is gone. */
export function startOf(
  folder: string,
  { worker }: ProjectSettings,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): DevStart {
  try {
    return { file: workerFile(folder, worker), args, env: workerEnvironment(env) };
  } catch (error) {
    throw new CannotStart(messageOf(error));
  }
}
