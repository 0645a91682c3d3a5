// An agent of the provider `local` in a process of its own, with the programs that a test gives it, called as a broker calls a hook. All that
// it has started is ended with its test.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { expect } from "vitest";
import * as z from "zod";
import { parentOf } from "../../src/cli/dev-processes.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import {
  HOOK_VERSION,
  type HookAnswer,
  type HookMachine,
  type HookRequest,
  type HookWorker,
  hookAnswerSchema,
  hookErrorSchema,
  hookRequestSchema,
} from "../../src/contract/fleet-hook.ts";

export const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
export const ENDPOINT = "0123456789abcdef";
/** A busy machine of two cores starts three processes of Node in it. */
const COMES_MAX_MS = 20_000;

const readySchema = z.object({ event: z.literal("serving"), url: z.string(), pid: z.int() });

export const nameOf = (instance: string, endpointId = ENDPOINT): string => `wb-${endpointId}-${instance}`;

export function machine(instance: string, change: Partial<HookMachine> = {}): HookMachine {
  return {
    name: nameOf(instance),
    instanceId: instance,
    id: null,
    gpuTypeId: "NVIDIA L4",
    tier: "l4",
    state: "running",
    endsAt: "2099-01-31T12:00:00.000Z",
    env: { RUNPOD_POD_ID: instance },
    ...change,
  };
}

export function worker(image: string, change: Partial<HookWorker> = {}): HookWorker {
  return {
    ...{ image, args: null, disk: null, ports: [], httpPort: null, registry: null, gpuCount: 1 },
    ...{ allowedCudaVersions: [], minCudaVersion: null, dataCenterIds: [], networkVolumes: [] },
    env: {},
    ...change,
  };
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** The status of each machine, by the instance. */
export function shown({ machines }: HookAnswer): Readonly<Record<string, string>> {
  return Object.fromEntries(machines.map(({ name, status }) => [name.split("-").at(-1), status]));
}

interface HowStarted {
  readonly env?: Readonly<Record<string, string>>;
  /** A script that starts what its arguments name, in place of the test. */
  readonly starter?: string;
}

/** A folder with the configuration of an agent and what its programs leave in it. */
export class AgentFolder {
  readonly path = mkdtempSync(join(tmpdir(), "waybill-agent-"));
  readonly #agents: RunningAgent[] = [];

  /** `images`: as in a configuration. Each runs in this folder. */
  configure(images: Readonly<Record<string, object>>, more: object = {}): void {
    writeFileSync(join(this.path, "agent.json"), JSON.stringify({ images, ...more }));
  }

  write(name: string, text: string): string {
    writeFileSync(join(this.path, name), text, { mode: 0o700 });
    return join(this.path, name);
  }

  async start(words: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<RunningAgent> {
    const agent = this.launch(words, { env });
    await agent.ready();
    return agent;
  }

  /** The same, without waiting for it. */
  launch(words: readonly string[], how: HowStarted = {}): RunningAgent {
    const agent = new RunningAgent(this.path, words, how);
    this.#agents.push(agent);
    return agent;
  }

  log(instance: string): string {
    const path = join(this.path, "logs", `${nameOf(instance)}.log`);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  /** The processes whose numbers programs have written into a file, as `echo $$ >> FILE` does. */
  pids(file = "pids"): number[] {
    const path = join(this.path, file);
    const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
    // What is behind the last end of a line is being written.
    return lines.slice(0, -1).map(Number);
  }

  async pidsCome(count: number, file = "pids"): Promise<number[]> {
    await expect.poll(() => this.pids(file).length, { timeout: COMES_MAX_MS, interval: 20 }).toBe(count);
    return this.pids(file);
  }

  forgetPids(): void {
    rmSync(join(this.path, "pids"), { force: true });
  }

  /** Ends what a test has left. An agent that ends in order has none of its processes left then. */
  async close(): Promise<void> {
    const agents = this.#agents.splice(0);
    for (const agent of agents) await agent.end("SIGTERM");
    const left = [...this.pids(), ...agents.map(({ pid }) => pid)].filter(isRunning);
    for (const pid of left) process.kill(pid, "SIGKILL");
    rmSync(this.path, { recursive: true, force: true });
    expect(left, "processes that outlived their agent").toEqual([]);
  }
}

export class RunningAgent {
  /** The agent, or its starter. */
  readonly child: ChildProcess;
  readonly exited: Promise<unknown[]>;
  /** Of the agent itself, when it is ready. */
  pid = 0;
  url = "";
  #printed = "";
  #errors = "";
  #number = 0;

  constructor(folder: string, words: readonly string[], { env, starter }: HowStarted = {}) {
    const scripts = [...(starter === undefined ? [] : [starter]), join(PROJECT_FOLDER, "src/cli/agent.ts")];
    const common = ["--config", join(folder, "agent.json"), "--logs", join(folder, "logs")];
    this.child = spawn(process.execPath, [...scripts, ...common, ...words], {
      env: { ...process.env, WAYBILL_HOOK_SECRET: SECRET, ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.exited = once(this.child, "exit");
    this.child.stdout?.on("data", (piece) => {
      this.#printed += piece;
    });
    this.child.stderr?.on("data", (piece) => {
      this.#errors += piece;
    });
  }

  printed(): string {
    return this.#printed;
  }

  errors(): string {
    return this.#errors;
  }

  async ready(): Promise<void> {
    const hasEnded = () => this.child.exitCode !== null || this.child.signalCode !== null;
    await expect.poll(() => this.#printed.includes("\n") || hasEnded(), { timeout: COMES_MAX_MS }).toBe(true);
    expect(this.#printed, this.#errors).not.toBe("");
    const { url, pid } = readySchema.parse(JSON.parse(this.#printed));
    this.url = url;
    this.pid = pid;
  }

  /** Resolves when it is gone, with its exit code. */
  async end(signal: NodeJS.Signals): Promise<unknown> {
    this.child.kill(signal);
    const [code] = await this.exited;
    return code;
  }

  /** Sends a body with good headers, but for those that are given. */
  async post(body: string, headers: Readonly<Record<string, string>> = {}, secret = SECRET): Promise<Reply> {
    const at = new Date();
    const signed = {
      "webhook-id": "fleet_1",
      "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
      "webhook-signature": new Webhook(secret).sign("fleet_1", at, body),
    };
    const response = await fetch(this.url, { method: "POST", body, headers: { ...signed, ...headers } });
    return { status: response.status, body: await response.json() };
  }

  /** The state that is wanted, with the next number. */
  send(wanted: HookWorker | null, machines: readonly HookMachine[], change: Partial<HookRequest> = {}): Promise<Reply> {
    this.#number += 1;
    const request: HookRequest = {
      ...{ type: "fleet.desired", version: HOOK_VERSION, endpointId: ENDPOINT, number: this.#number },
      ...{ operation: "list", machine: null, worker: wanted, machines: [...machines] },
      ...change,
    };
    return this.post(JSON.stringify(hookRequestSchema.parse(request)));
  }

  /** The same, where the state is taken. */
  async tell(...asked: Parameters<RunningAgent["send"]>): Promise<HookAnswer> {
    const { status, body } = await this.send(...asked);
    expect(status, JSON.stringify(body)).toBe(200);
    return hookAnswerSchema.parse(body);
  }

  /** The same, where it is refused: the status and the error. */
  async refuses(asked: Promise<Reply>): Promise<{ readonly status: number } & z.infer<typeof hookErrorSchema>> {
    const { status, body } = await asked;
    expect(status).toBeGreaterThanOrEqual(400);
    return { status, ...hookErrorSchema.parse(body) };
  }

  /** Resolves when a list shows it so. */
  async shows(
    statuses: Readonly<Record<string, string>>,
    wanted: HookWorker | null,
    machines: readonly HookMachine[],
  ): Promise<HookAnswer> {
    let answer = await this.tell(wanted, machines);
    await expect
      .poll(
        async () => {
          answer = await this.tell(wanted, machines);
          return shown(answer);
        },
        { timeout: COMES_MAX_MS, interval: 50 },
      )
      .toEqual(statuses);
    return answer;
  }
}

/**
 * Does a process of this number run? One that has lost its parent, and has ended, may wait to be reaped by the first process of the machine,
 * which is nobody's affair here.
 */
export function isRunning(pid: number): boolean {
  try {
    // The name of the process stands in brackets before its state.
    return !/^[ZX]/.test(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1) ?? "");
  } catch {
    return false;
  }
}

/** The processes that this one has started, also those that wait to be reaped. */
export function childrenOf(parent: number): number[] {
  const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
  return pids.map(Number).filter((pid) => parentOf(pid) === parent);
}

/** Resolves when none of the processes runs any more. */
export async function areGone(pids: readonly number[], maxMs = COMES_MAX_MS): Promise<void> {
  await expect.poll(() => pids.filter(isRunning), { timeout: maxMs, interval: 20 }).toEqual([]);
}
