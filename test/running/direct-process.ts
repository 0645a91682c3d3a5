// A built broker in a process group of its own, at a port and over a state that it can be started with again after a kill.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { isGroupAlive, signalGroup } from "../../src/cli/dev-processes.ts";
import { waitFor } from "../../src/cli/wait-for.ts";
import type { PreparedBroker } from "./broker.ts";
import { BROKER_CONFIG, buildWorker } from "./direct.ts";

const MAIN = join(import.meta.dirname, "direct-main.ts");
const READY_MAX_MS = 60_000;
const GONE_MAX_MS = 15_000;

export interface DirectProcess {
  /** `kill -9` of the whole group. Resolves when no process of it is left. */
  kill9(): Promise<void>;
}

/** Builds the broker once. What it returns starts it, at the port of `prepared`, and resolves when it answers. */
export async function buildDirectProcess(prepared: PreparedBroker): Promise<() => Promise<DirectProcess>> {
  const bundle = await buildWorker(BROKER_CONFIG, join(prepared.folder, "built"), "index.js");
  return () => launch(bundle, prepared);
}

async function launch(bundle: string, { folder, port }: PreparedBroker): Promise<DirectProcess> {
  const log = openSync(join(folder, "broker.log"), "a");
  // Where wrangler, which has filled the database, keeps it.
  const words = ["--no-warnings", MAIN, bundle, join(folder, "v3"), String(port)];
  const child = spawn(process.execPath, words, { stdio: ["pipe", "pipe", log], detached: true });
  closeSync(log);
  const { pid, stdout } = child;
  if (pid === undefined || stdout === null) throw new Error("the broker cannot be started");
  const kill9 = async (): Promise<void> => {
    signalGroup(pid, "SIGKILL");
    const isGone = await waitFor(() => (isGroupAlive(pid) ? undefined : true), Date.now() + GONE_MAX_MS);
    if (isGone !== true) throw new Error(`processes of the group ${pid} are left after a kill`);
  };
  const signal = AbortSignal.timeout(READY_MAX_MS);
  try {
    await Promise.race([
      once(stdout, "data", { signal }),
      once(child, "exit", { signal }).then(() => Promise.reject(new Error("the broker has ended while it started"))),
    ]);
  } catch (error) {
    await kill9();
    throw error;
  }
  return { kill9 };
}
