// Pulling workers as processes of their own: started, killed without a word, and all ended when the test is over.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { inForm, type WorkerPlace } from "../../src/core/manage/worker-forms.ts";

const SCRIPT = fileURLToPath(new URL("pull-worker.ts", import.meta.url));

/** Addresses of the broker. `doneBase`: where results go, when it is not there. */
export interface FleetPlace extends Omit<WorkerPlace, "gpu"> {
  readonly doneBase?: string;
}

export class Fleet {
  readonly #environment: Readonly<Record<string, string>>;
  readonly #members = new Map<string, ChildProcess>();

  constructor(place: FleetPlace) {
    const { doneBase = place.base, ...rest } = place;
    const name = "RUNPOD_WEBHOOK_POST_OUTPUT";
    const done = environmentOf({ ...rest, base: doneBase, gpu: "SIM" }).get(name) ?? "";
    this.#environment = { ...Object.fromEntries(environmentOf({ ...rest, gpu: "SIM" })), [name]: done };
  }

  /** Ids of the workers that run. */
  get podIds(): readonly string[] {
    return [...this.#members.keys()];
  }

  start(podId: string): void {
    const child = spawn(process.execPath, [SCRIPT], {
      env: { ...this.#environment, RUNPOD_POD_ID: podId },
      stdio: ["pipe", "ignore", "inherit"],
    });
    this.#members.set(podId, child);
  }

  /** `kill -9`: nothing of it is left to say goodbye. */
  async kill(podId: string): Promise<void> {
    const child = this.#members.get(podId);
    if (child === undefined) throw new Error(`no worker ${podId} runs`);
    this.#members.delete(podId);
    if (child.exitCode !== null) throw new Error(`worker ${podId} has ended by itself`);
    child.kill("SIGKILL");
    if (child.signalCode === null) await once(child, "exit");
  }

  /** Ends all of them, also one that has ended by itself. */
  async stop(): Promise<void> {
    const left = [...this.#members.values()].filter(
      ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
    );
    this.#members.clear();
    await Promise.all(
      left.map(async (child) => {
        const ended = once(child, "exit");
        child.kill("SIGKILL");
        await ended;
      }),
    );
  }
}

function environmentOf(place: WorkerPlace): ReadonlyMap<string, string> {
  const pairs = inForm("docker", place).lines.map((line) => {
    const at = line.indexOf("=");
    return [line.slice(0, at), line.slice(at + 1)] as const;
  });
  return new Map(pairs);
}
