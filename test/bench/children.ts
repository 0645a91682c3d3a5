// The programs that the bench starts: each reports when it is ready, and ends with the bench.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import * as z from "zod";

const readySchema = z.object({ port: z.int() });

/** A program of the bench that runs. `port`: where it listens, 0 for one that does not. */
export interface Started {
  readonly child: ChildProcess;
  readonly port: number;
}

/** Starts a program and waits until it sends `{ port }`. */
export async function startProgram(path: string, args: readonly string[] = []): Promise<Started> {
  const child = fork(path, args);
  const ended = once(child, "exit").then(() => {
    throw new Error(`${path} ended while it started`);
  });
  const [message]: unknown[] = await Promise.race([once(child, "message"), ended]);
  return { child, port: readySchema.parse(message).port };
}

/** Ends a process and waits until it is gone. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}
