// Ends a child process: politely, and by force where that takes too long.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

export function hasExited({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** Sends SIGTERM, and SIGKILL after `politeMaxMs`. Resolves when the process has ended. */
export async function stopChild(child: ChildProcess, politeMaxMs: number): Promise<void> {
  if (hasExited(child)) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), politeMaxMs);
  await ended;
  clearTimeout(force);
}
