// A broker, the agent of its provider `local`, and the workers that the agent starts: each of them a process that can be killed. What becomes
// of them is seen in the machine's process table, in files that the workers leave, and in what the broker tells and keeps.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import * as z from "zod";
import { AgentFolder, childrenOf, isRunning, type RunningAgent, SECRET } from "../commands/running-agent.ts";
import { callBroker, type PreparedBroker, prepareBroker, type RunningBroker } from "../running/broker.ts";
import { buildDirectProcess, type DirectProcess } from "../running/direct-process.ts";
import { takePort } from "../running/port.ts";
import { readRuns, until } from "./worker-processes.ts";

const WORKERS_MAX = 6;
const IMAGE = "waybill/fleet-kills";
const GPU_TYPE = "NVIDIA RTX A4000";
export const TIER = "a4000";
/** Of that tier, whose price every new deployment has. */
const POOL = "AMPERE_16";
/** Room for workers that end beside those that come in their place. */
const MACHINES_MAX = 3 * WORKERS_MAX;
const ENDS_MAX_MS = 5_000;
/** The broker writes into its file in some ms. */
const BUSY_MAX_MS = 5_000;

const idSchema = z.object({ id: z.string() });
const tenantsSchema = z.object({ tenants: z.array(idSchema) });
const rowSchema = z.object({ record: z.string() });
const recordSchema = z.object({
  ...{ id: z.string(), phase: z.string(), goal: z.string().nullable() },
  ...{ ref: z.string().nullable(), answeredAtMs: z.number().nullable() },
});
type MachineRecord = z.infer<typeof recordSchema>;
const decisionsSchema = z.object({ decisions: z.array(z.object({ from: z.int(), to: z.int(), reason: z.string() })) });
const workersSchema = z.object({ workers: z.array(z.object({ id: z.string(), machine: z.unknown().optional() })) });

export class KilledFleet implements Pick<RunningBroker, "url" | "key" | "call"> {
  readonly url: string;
  readonly key: string;
  readonly #prepared: PreparedBroker;
  readonly #launch: () => Promise<DirectProcess>;
  readonly #folder = new AgentFolder();
  readonly #agentPort: number;
  /** The process in which each agent has started its programs. */
  readonly #keepers: number[] = [];
  /** The newest of both, which may still be about to start. */
  #broker: Promise<DirectProcess>;
  #agent: Promise<RunningAgent>;
  #endpointId = "";

  private constructor(prepared: PreparedBroker, launch: () => Promise<DirectProcess>, agentPort: number) {
    this.url = `http://127.0.0.1:${prepared.port}`;
    this.key = prepared.key;
    this.#prepared = prepared;
    this.#launch = launch;
    this.#agentPort = agentPort;
    const env = { WAYBILL_TEST_FOLDER: this.#folder.path, WAYBILL_TEST_RUNNER: String(process.pid) };
    const args = ["--no-warnings", join(import.meta.dirname, "fleet-worker.ts")];
    this.#folder.configure({ [IMAGE]: { program: process.execPath, args, env } });
    this.#broker = launch();
    this.#agent = this.#startAgent();
  }

  /** A fleet without a worker, for the jobs of an endpoint of this name. To be called in a test. */
  static async start(slug: string): Promise<KilledFleet> {
    const prepared = await prepareBroker({});
    const fleet = new KilledFleet(prepared, await buildDirectProcess(prepared), await takePort());
    try {
      await fleet.isBack();
      await fleet.#makeEndpoint(slug);
      return fleet;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
  }

  async #makeEndpoint(slug: string): Promise<void> {
    const { tenants } = tenantsSchema.parse(await (await this.call("/v1/tenants")).json());
    const tenantId = tenants[0]?.id;
    const { url } = await this.#agent;
    const provider = { tenantId, name: "agent", kind: "local", url, credential: SECRET };
    const offers = [{ gpuTypeId: GPU_TYPE, pricePerHour: "0.10" }];
    const providerId = await this.#create("/v1/providers", { ...provider, offers });
    this.#endpointId = await this.#create("/v1/endpoints", {
      ...{ tenantId, slug, image: IMAGE, gpu: { pools: [POOL] }, providers: [providerId], maxAttempts: 10 },
      ...{ workers: { min: 0, max: WORKERS_MAX }, scaling: { type: "REQUEST_COUNT", requestCount: 1 } },
      // A stopped machine would keep its record for an hour.
      flashboot: "OFF",
    });
  }

  call(path: string, body?: string | Buffer): Promise<Response> {
    return callBroker(`${this.url}${path}`, this.key, { body });
  }

  async #create(path: string, body: object): Promise<string> {
    const response = await this.call(path, JSON.stringify(body));
    const text = await response.text();
    expect(response.status, text).toBe(201);
    return idSchema.parse(JSON.parse(text)).id;
  }

  async #startAgent(): Promise<RunningAgent> {
    const agent = await this.#folder.start(["--port", String(this.#agentPort), "--max", String(MACHINES_MAX)]);
    this.#keepers.push(...childrenOf(agent.pid));
    return agent;
  }

  /** `kill -9` of the broker, which is started again after so long, with its state. */
  async killBroker(downMs: number): Promise<void> {
    await (await this.#broker).kill9();
    this.#broker = sleep(downMs).then(this.#launch);
    // A failure is told where the broker is waited for.
    this.#broker.catch(() => undefined);
  }

  /** `kill -9` of the agent alone, which is started again after so long. */
  async killAgent(downMs: number): Promise<void> {
    await (await this.#agent).end("SIGKILL");
    this.#agent = sleep(downMs).then(() => this.#startAgent());
    this.#agent.catch(() => undefined);
  }

  /** Resolves when what was killed last is there again. */
  async isBack(): Promise<void> {
    await Promise.all([this.#broker, this.#agent]);
  }

  /** The workers that run, whichever agent has started them: each has the folder of this fleet in its environment. */
  workers(): readonly number[] {
    const own = `WAYBILL_TEST_FOLDER=${this.#folder.path}`;
    const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
    return pids.filter((pid) => environmentOf(pid).includes(own) && isRunning(Number(pid))).map(Number);
  }

  /** Each run of a job in a worker, in the order in which they began, or ended. */
  runs(what: "begun" | "ended") {
    return readRuns(this.#folder.path, what);
  }

  /** The runs that have begun and not ended, in workers that run. */
  openRuns() {
    const alive = new Set(this.workers());
    const ended = new Set(this.runs("ended").map(({ pid, jobId }) => `${pid} ${jobId}`));
    return this.runs("begun").filter(({ pid, jobId }) => alive.has(pid) && !ended.has(`${pid} ${jobId}`));
  }

  /** What the broker has decided about how many workers there are to be, newest first. */
  async decisions() {
    const response = await this.call(`/v1/endpoints/${this.#endpointId}/scaling?limit=100`);
    return decisionsSchema.parse(await response.json()).decisions;
  }

  /** The ids of the machines that the broker shows. */
  async shownMachines(): Promise<readonly string[]> {
    const response = await this.call(`/v1/endpoints/${this.#endpointId}/workers`);
    const { workers } = workersSchema.parse(await response.json());
    return workers.filter(({ machine }) => machine !== undefined).map(({ id }) => id);
  }

  /** The records of machines that the broker has, by its own file: machines that end well are shown to nobody. */
  records(): readonly MachineRecord[] {
    const objects = join(this.#prepared.folder, "v3", "do");
    const folders = readdirSync(objects).filter((name) => name.includes("EndpointBroker"));
    const files = folders.flatMap((name) => readdirSync(join(objects, name)).map((file) => join(objects, name, file)));
    return files.filter((file) => /[/][0-9a-f]+\.sqlite$/.test(file)).flatMap(readRecords);
  }

  /** The processes that keepers have, and what the agent answers a broker that wants no machine. */
  async ofAgent() {
    const processes = this.#keepers.filter(isRunning).flatMap(childrenOf);
    const agent = await this.#agent;
    const { machines } = await agent.tell(null, [], { endpointId: this.#endpointId, number: Date.now() });
    return { machines, processes };
  }

  /** Ends everything, and expects that nothing of it is left. */
  async stop(): Promise<void> {
    const [broker] = await Promise.allSettled([this.#broker, this.#agent]);
    if (broker.status === "fulfilled") await broker.value.kill9();
    await this.#folder.close();
    this.#prepared.discard();
    const ending = [...this.#keepers, ...this.workers()];
    try {
      await until("keepers and workers have ended", () => ending.every((pid) => !isRunning(pid)), ENDS_MAX_MS);
    } finally {
      for (const pid of ending.filter(isRunning)) process.kill(pid, "SIGKILL");
    }
  }
}

/** Empty where the process has ended, or is somebody else's. */
function environmentOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    return [];
  }
}

function readRecords(file: string): readonly MachineRecord[] {
  const database = new DatabaseSync(file, { readOnly: true, timeout: BUSY_MAX_MS });
  try {
    const rows = database.prepare("SELECT record FROM instances").all();
    return rows.map((row) => recordSchema.parse(JSON.parse(rowSchema.parse(row).record)));
  } finally {
    database.close();
  }
}
