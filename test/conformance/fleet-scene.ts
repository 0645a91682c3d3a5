// A tenant whose endpoint has its workers from a provider of RunPod's pods: the fake of RunPod's API, the provider that an operator has
// added, RunPod's own client as the owner of the endpoint, and RunPod's own worker in each pod.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, type TestContext } from "vitest";
import * as z from "zod";
import { callBroker, type RunningBroker } from "../running/broker.ts";
import type { FakePod } from "../support/fake-pods.ts";
import { type FakeRunpod, startFakeRunpod } from "../support/fake-runpod.ts";
import { type Call, startManager } from "./python-manager.ts";
import type { Interpreters } from "./python-worker.ts";
import { until, type WorkerProcesses } from "./worker-processes.ts";

const SCRIPT = join(import.meta.dirname, "fleet_worker.py");
export const GPU = "NVIDIA L4";
export const IMAGE = "my-org/worker:1";
/** The provider's, of RunPod. */
export const API_KEY = "rpa_ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
/** USD an hour. */
const PRICE = 0.43;
/** Two busy cores take their time to start several workers at once. */
const WORKER_STARTS_WITHIN_MS = 60_000;
const SHOWN_WITHIN_MS = 60_000;
/** For so long a broker's database may be locked while it is made. */
const BUSY_MAX_MS = 5_000;

export interface SceneParts {
  readonly broker: RunningBroker;
  readonly interpreters: Interpreters;
  /** Of the suite, for the folder in which handlers and the test leave files. */
  readonly workers: WorkerProcesses;
}

export interface SceneOptions {
  /** The release of RunPod's worker; the newest by default. */
  readonly version?: "newest" | "2.0.0rc2";
  /** The mode of worker.py in a pod: by default handlers that hold. */
  readonly modeOf?: (pod: FakePod) => "async" | "hook fails";
  readonly setsOwnVariables?: boolean;
  /** Arguments of the package's create_endpoint, beside or in place of the usual ones. */
  readonly endpoint?: Readonly<Record<string, unknown>>;
}

const withId = z.looseObject({ id: z.string() });
const workerSchema = z.looseObject({ id: z.string(), status: z.string() });
type Worker = z.infer<typeof workerSchema>;
const workersSchema = z.looseObject({ workers: z.array(workerSchema), summary: z.record(z.string(), z.int()) });
const healthSchema = z.looseObject({ workers: z.record(z.string(), z.int()) });
const outputSchema = z.object({ status: z.string(), output: z.unknown() });
const COUNTED = ["running", "idle", "initializing", "throttled", "unhealthy"] as const;
type State = Uppercase<(typeof COUNTED)[number]>;

export class Scene {
  readonly endpointId: string;
  readonly runpod: FakeRunpod;
  /** The tenant's own. */
  readonly key: string;
  /** What the endpoint's workers get beside what Waybill gives them. */
  readonly env: Readonly<Record<string, string>>;
  readonly #parts: SceneParts;
  readonly #values: (...calls: readonly Call[]) => Promise<unknown[]>;

  private constructor(
    own: Pick<Scene, "endpointId" | "runpod" | "key" | "env">,
    parts: SceneParts,
    values: (...calls: readonly Call[]) => Promise<unknown[]>,
  ) {
    this.endpointId = own.endpointId;
    this.runpod = own.runpod;
    this.key = own.key;
    this.env = own.env;
    this.#parts = parts;
    this.#values = values;
  }

  /** All of it ends with the test, which shows on a failure what pods have printed. */
  static async start(test: TestContext, parts: SceneParts, options: SceneOptions = {}): Promise<Scene> {
    const { broker, interpreters, workers } = parts;
    const runpod = await startRunpod(parts, options);
    test.onTestFinished(() => runpod.stop());
    test.onTestFailed(() => {
      for (const id of runpod.running()) console.error(`--- ${id} has printed:\n${runpod.printed(id).slice(-3_000)}`);
    });
    const key = await addTenant(broker, runpod.url);
    const interpreter = interpreters["2.0.0rc2"];
    const manager = startManager({ interpreter, url: broker.url, key, home: workers.folder });
    test.onTestFinished(() => manager.end());
    const env = {
      // What an image has in its own environment: without a home the SDK would read the settings of whoever runs the tests.
      HOME: workers.folder,
      LANG: "C.UTF-8",
      // The SDK's checks of a machine open a connection to the internet, and want a share of the memory.
      RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: "true",
      MODEL: 'small "é" $ID',
    };
    const endpointId = await makeEndpoint(manager.values, env, options.endpoint);
    return new Scene({ endpointId, runpod, key, env }, parts, manager.values);
  }

  /** Starts a job by the package, which its handler holds until it is released by this name. */
  async hold(name: string): Promise<string> {
    const [id] = await this.#values(["run", { endpoint: this.endpointId, job_input: { kind: "hold", name } }]);
    return z.string().parse(id);
  }

  /** Resolves once the handler of that job runs. */
  async held(name: string): Promise<void> {
    await this.#parts.workers.mark(name, "started", WORKER_STARTS_WITHIN_MS);
  }

  /** Lets it go on, and the package wait for what comes of it. */
  async finish(id: string, name: string): Promise<void> {
    this.#parts.workers.release(name);
    const [ended] = await this.#values(["output", { job_id: id }]);
    expect(outputSchema.parse(ended)).toEqual({ status: "COMPLETED", output: "held" });
  }

  /**
   * Waits until the workers route of v2 shows workers in these states to the package, in any order, counts them so in its summary, and
   * the endpoint's health does, too.
   */
  async shows(...states: readonly State[]): Promise<readonly Worker[]> {
    const counts = COUNTED.map((name) => states.filter((state) => state.toLowerCase() === name).length).join();
    const countsOf = (found: Readonly<Record<string, number>>) => COUNTED.map((name) => found[name]).join();
    let seen = "";
    const look = async () => {
      const { workers, summary } = await this.#listed();
      const [health] = await this.#values(["health", { endpoint: this.endpointId }]);
      const healthy = healthSchema.parse(health).workers;
      seen = JSON.stringify({ workers, summary, healthy });
      const isSo =
        workers
          .map(({ status }) => status)
          .toSorted()
          .join() === states.toSorted().join();
      return isSo && countsOf(summary) === counts && countsOf(healthy) === counts && workers;
    };
    try {
      return await until(`the workers are ${states.join() || "none"}`, look, SHOWN_WITHIN_MS);
    } catch (cause) {
      throw new Error(`not ${states.join() || "none"}, but ${seen}`, { cause });
    }
  }

  /** Waits until that route shows the worker of a machine in this state, whatever others there are. */
  async showsAs(machine: string, state: State): Promise<void> {
    const look = async () =>
      (await this.#listed()).workers.some(({ id, status }) => id === machine && status === state);
    await until(`the worker of ${machine} is ${state}`, look, SHOWN_WITHIN_MS);
  }

  /** What the workers route answers to the package. */
  async #listed(): Promise<z.infer<typeof workersSchema>> {
    const [listed] = await this.#values(["apps", { method: "endpoint_workers", endpoint_id: this.endpointId }]);
    return workersSchema.parse(listed);
  }

  /** The answer to a call of the broker. */
  async read(path: string): Promise<unknown> {
    const response = await callBroker(`${this.#parts.broker.url}${path}`, this.key);
    return await response.json();
  }

  /** The lines of the bill of a job, as soon as there is one. */
  async bill(id: string): Promise<readonly unknown[]> {
    const schema = z.object({ lines: z.array(z.unknown()) });
    const look = async () => {
      const { lines } = schema.parse(await this.read(`/v1/usage?job=${id}`));
      return lines.length > 0 && lines;
    };
    return until("the job is billed", look, 10_000);
  }

  /** Changes the endpoint by the package's own transport. */
  async change(body: object): Promise<void> {
    await this.#values(["rest", { method: "PATCH", path: `/v2/serverless/${this.endpointId}`, body }]);
  }

  async delete(): Promise<void> {
    expect(await this.#values(["apps", { method: "delete_endpoint", endpoint_id: this.endpointId }])).toEqual([true]);
  }

  /** The pods that there are, oldest first. */
  pods(): readonly FakePod[] {
    return [...this.runpod.pods.pods.values()];
  }

  pod(id: string): FakePod {
    const pod = this.runpod.pods.pods.get(id);
    if (pod === undefined) throw new Error(`there is no ${id}`);
    return pod;
  }

  /** The machine that a pod was made for, as its name has it. */
  machineOf({ name }: FakePod): string {
    const prefix = `wb-${this.endpointId}-`;
    expect(name.startsWith(prefix)).toBe(true);
    return name.slice(prefix.length);
  }

  /** Resolves when RunPod has no pod of the endpoint any more, and nothing runs that was in one. */
  async emptied(): Promise<void> {
    const look = () => this.pods().length === 0 && this.runpod.running().length === 0;
    await until("no pod and no process is left", look, 60_000);
  }

  /** The names of the pods of whose machines the endpoint's broker has records, in its database. */
  recorded(): readonly string[] {
    const names = new Set(this.runpod.pods.made.keys());
    const ids = recordsOf(this.#parts.broker.folder).map((id) => `wb-${this.endpointId}-${id}`);
    return ids.filter((name) => names.has(name));
  }
}

/** The fake, in whose pods RunPod's worker runs. */
function startRunpod({ interpreters, workers }: SceneParts, options: SceneOptions): Promise<FakeRunpod> {
  const { version = "newest", modeOf = () => "async", setsOwnVariables = false } = options;
  const file = interpreters[version];
  const own = [workers.folder, String(process.pid)];
  return startFakeRunpod({
    apiKey: API_KEY,
    prices: { [GPU]: PRICE },
    program: (pod) => ({ file, args: ["-uB", SCRIPT, ...own, modeOf(pod)] }),
    setsOwnVariables,
  });
}

/** An operator makes a tenant and its key, and adds a provider of pods for it, which endpoints use that name none. */
async function addTenant(broker: RunningBroker, url: string): Promise<string> {
  const ask = async (path: string, body: object): Promise<Record<string, unknown>> => {
    const response = await broker.call(path, JSON.stringify(body));
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text}`);
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  };
  const { id: tenantId } = await ask("/v1/tenants", { name: "acme" });
  const { key } = await ask("/v1/keys", { tenantId, scopes: ["jobs", "manage"] });
  const offers = [{ gpuTypeId: GPU, pricePerHour: String(PRICE) }];
  const pods = { name: "pods", kind: "runpod", url, credential: API_KEY, offers, default: true };
  await ask("/v1/providers", { tenantId, ...pods });
  return z.string().parse(key);
}

async function makeEndpoint(
  values: (...calls: readonly Call[]) => Promise<unknown[]>,
  env: Readonly<Record<string, string>>,
  endpoint: SceneOptions["endpoint"],
): Promise<string> {
  const [template] = await values(["create_template", { name: "t", image_name: IMAGE, is_serverless: true, env }]);
  const usual = { name: "e", gpu_ids: "AMPERE_24", workers_min: 0, workers_max: 2, idle_timeout: 3, scaler_value: 1 };
  const [made] = await values(["create_endpoint", { template_id: withId.parse(template).id, ...usual, ...endpoint }]);
  return withId.parse(made).id;
}

/** The ids of all machines of which brokers of this folder have records. */
function recordsOf(folder: string): readonly string[] {
  const objects = join(folder, "v3", "do");
  const files = readdirSync(objects)
    .filter((name) => name.includes("EndpointBroker"))
    .flatMap((name) => readdirSync(join(objects, name)).map((file) => join(objects, name, file)))
    .filter((file) => /[/\\][0-9a-f]{64}\.sqlite$/.test(file));
  return files.flatMap((file) => {
    const database = new DatabaseSync(file, { readOnly: true, timeout: BUSY_MAX_MS });
    // A broker that begins at this moment has no table yet.
    const hasTable = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'instances'").get() !== undefined;
    const rows = hasTable ? database.prepare("SELECT id FROM instances").all() : [];
    database.close();
    return rows.map((row) => z.object({ id: z.string() }).parse(row).id);
  });
}
