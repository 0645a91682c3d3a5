// What runs in the pods of a fake of RunPod: real processes, with exactly the environment that each pod was given.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { isGroupAlive, signalGroup } from "../../src/cli/dev-processes.ts";
import type { FakePod } from "./fake-pods.ts";

/** A program to run as a pod's container. `file`: with its path, because a pod's environment has no PATH of this machine. */
export interface PodProgram {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd?: string;
}

export interface ContainerOptions {
  /** Null: the pod is there, and nothing runs in it. */
  readonly program?: (pod: FakePod) => PodProgram | null;
  /** RunPod's own variables go over those of the pod, as its documents have it; else the process has the pod's own alone. */
  readonly setsOwnVariables?: boolean;
}

/**
 * What runs in pods. Each container is a group of processes, because with its main process everything in it ends: the heartbeat of
 * RunPod's worker is a process of its own.
 */
export class PodContainers {
  readonly #options: ContainerOptions;
  readonly #started: { readonly podId: string; readonly pid: number }[] = [];
  /** The main processes of pods that run. */
  readonly #main = new Map<string, ChildProcess>();
  readonly #printed = new Map<string, string>();
  readonly #ends: Promise<unknown>[] = [];
  #isOver = false;

  constructor(options: ContainerOptions) {
    this.#options = options;
  }

  start(pod: FakePod, exited: () => void): void {
    const chosen = this.#options.program?.(pod) ?? null;
    if (chosen === null || this.#isOver) return;
    const { file, args, cwd } = chosen;
    const env = { ...pod.env, ...(this.#options.setsOwnVariables === true ? ownVariables(pod) : {}) };
    const child = spawn(file, [...args], { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data: Buffer) => this.#printed.set(pod.id, this.printed(pod.id) + data.toString()));
    if (child.pid !== undefined) this.#started.push({ podId: pod.id, pid: child.pid });
    this.#main.set(pod.id, child);
    const ended = () => {
      kill(child);
      // A process that was ended with its pod, or that another one has followed, tells nothing of it.
      if (this.#main.get(pod.id) !== child) return;
      this.#main.delete(pod.id);
      exited();
    };
    child.once("error", ended);
    child.once("exit", ended);
    this.#ends.push(once(child, "close").catch(() => undefined));
  }

  end(podId: string): void {
    const child = this.#main.get(podId);
    this.#main.delete(podId);
    if (child !== undefined) kill(child);
  }

  kill(podId: string): void {
    const child = this.#main.get(podId);
    if (child === undefined) throw new Error(`nothing runs in ${podId}`);
    kill(child);
  }

  running(): readonly string[] {
    return this.#started.filter(({ pid }) => isGroupAlive(pid)).map(({ podId }) => podId);
  }

  printed(podId: string): string {
    return this.#printed.get(podId) ?? "";
  }

  async endAll(): Promise<void> {
    this.#isOver = true;
    for (const podId of [...this.#main.keys()]) this.end(podId);
    await Promise.all(this.#ends);
  }
}

function kill({ pid }: ChildProcess): void {
  if (pid !== undefined) signalGroup(pid, "SIGKILL");
}

/** What RunPod sets in each pod (its page on environment variables of pods). A pod's id is RunPod's, and not the name that we gave it. */
function ownVariables({ id, gpu, dataCenterIds }: FakePod): Readonly<Record<string, string>> {
  return {
    RUNPOD_POD_ID: id,
    RUNPOD_DC_ID: dataCenterIds[0] ?? "EU-RO-1",
    RUNPOD_POD_HOSTNAME: `${id}-64410f2a`,
    RUNPOD_GPU_COUNT: String(gpu.count),
    RUNPOD_CPU_COUNT: "8",
    RUNPOD_API_KEY: `rpa_of_${id}`,
    CUDA_VERSION: "12.8.1",
  };
}
