// RunPod's pods as its documents have them (OpenAPI 2.0.0; answers that were seen are marked): what is made, what is refused and by which
// words. Its clock and its faults are the test's.
import type { FakeVendor, VendorReply, VendorRequest } from "./fake-vendor.ts";

export interface FakePod {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly args: string;
  readonly env: Readonly<Record<string, string>>;
  readonly gpu: { readonly id: string; readonly count: number };
  readonly ports: readonly string[];
  readonly disk: number | null;
  readonly registry: string | null;
  readonly mounts: unknown;
  readonly dataCenterIds: readonly string[];
  readonly cost: number;
  readonly createdAtMs: number;
  status: "PROVISIONING" | "STARTING" | "RUNNING" | "EXITED" | "ERROR" | "TERMINATED";
  isLocked: boolean;
}

interface FakePodsOptions {
  readonly apiKey: string;
  readonly now?: () => number;
  /** USD an hour, by the id of the GPU type. One that is not here does not exist. */
  readonly prices?: Readonly<Record<string, number>>;
  /** Called when a pod's container is to run, and when it is to end. */
  readonly onStart?: (pod: FakePod) => void;
  readonly onStop?: (pod: FakePod) => void;
}

/** Seen on 2026-08-20 with 400. */
const NONE_LEFT =
  "There are no longer any instances available with the requested specifications. Please refresh and try again.";
/** Seen on 2026-09-24 with 400, when a stopped pod's host had given its GPU away. */
const HOST_FULL = "There are not enough free GPUs on the host machine to start this pod.";

export class FakePods implements FakeVendor {
  readonly pods = new Map<string, FakePod>();
  /** How many pods of each name were made. */
  readonly made = new Map<string, number>();
  /** GPU types of which there is none at the moment. */
  readonly soldOut = new Set<string>();
  balance = 100;
  /** The key may read and not write. */
  isReadOnly = false;
  /** Lists show what there was so long ago. */
  listLagMs = 0;
  readonly #options: FakePodsOptions;
  readonly #now: () => number;
  #history: { readonly atMs: number; readonly shown: readonly unknown[] }[] = [];
  #ids = 0;

  constructor(options: FakePodsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  handle({ method, path, headers, body }: VendorRequest): VendorReply {
    const authorization = headers.get("authorization");
    if (authorization === null) return problem(401, "missing bearer token");
    if (authorization !== `Bearer ${this.#options.apiKey}`) return problem(401, "invalid API key");
    if (this.isReadOnly && method !== "GET") return problem(403, "the API key is read only");
    const { pathname } = new URL(path, "https://api.runpod.io");
    const [, version, pods, id, action] = pathname.split("/").map(decodeURIComponent);
    if (version !== "v2" || pods !== "pods") return problem(404, "not found");
    if (id === undefined) {
      if (method === "GET") return { status: 200, body: { pods: this.#listed() } };
      if (method === "POST") return this.#create(body);
      return problem(405, "method not allowed", [], { allow: "GET, POST" });
    }
    const pod = this.pods.get(id);
    if (pod === undefined) return problem(404, "pod not found");
    if (action === "action" && method === "POST") return this.#act(pod, body);
    if (method === "GET" && action === undefined) return { status: 200, body: shown(pod) };
    if (method !== "DELETE" || action !== undefined) return problem(405, "method not allowed");
    if (pod.isLocked) return problem(409, "the pod is locked");
    this.#remove(pod);
    return { status: 204, body: null };
  }

  /** The pod's container has ended by itself. */
  exit(id: string, status: "EXITED" | "ERROR" = "EXITED"): void {
    const pod = this.pods.get(id);
    if (pod === undefined) return;
    pod.status = status;
    this.#note();
  }

  #create(text: string): VendorReply {
    const body = parse(text);
    const errors = schemaErrors(body);
    if (errors.length > 0) return problem(422, "Request validation failed.", errors);
    const { name, image, gpu, env = {}, args = "", ports = [], disk, registry, mounts, dataCenterIds = [] } = body;
    if (body.gpu === undefined) return problem(400, "exactly one of gpu and cpu is required");
    if (mounts?.persistent !== undefined && mounts.network !== undefined)
      return problem(400, "mounts.persistent and mounts.network exclude each other");
    const price = this.#options.prices?.[gpu.id];
    if (price === undefined) return problem(400, `unknown gpu type ${gpu.id}`);
    const cost = price * gpu.count;
    if (this.balance < cost) return problem(402, "balance too low to create a pod");
    if (this.soldOut.has(gpu.id)) return problem(400, NONE_LEFT);
    this.#ids += 1;
    const pod: FakePod = {
      id: `pod${this.#ids}`,
      name,
      image,
      args,
      env,
      gpu: { id: gpu.id, count: gpu.count },
      ports,
      disk: disk ?? null,
      registry: registry ?? null,
      mounts: mounts ?? null,
      dataCenterIds,
      cost,
      createdAtMs: this.#now(),
      status: "RUNNING",
      isLocked: false,
    };
    this.pods.set(pod.id, pod);
    this.made.set(name, (this.made.get(name) ?? 0) + 1);
    this.#note();
    this.#options.onStart?.(pod);
    return { status: 201, body: shown(pod) };
  }

  #act(pod: FakePod, text: string): VendorReply {
    const { action, ...rest } = parse(text);
    const unknown = Object.keys(rest).map((name) => `$: additional properties '${name}' not allowed`);
    if (!["start", "stop", "restart", "terminate"].includes(action))
      unknown.push("$.action: value must be one of 'start', 'stop', 'restart', 'terminate'");
    if (unknown.length > 0) return problem(422, "Request validation failed.", unknown);
    if (action === "terminate") {
      this.#remove(pod);
      return { status: 204, body: null };
    }
    if (!actionsOf(pod).includes(action)) return problem(409, `a pod with the status ${pod.status} cannot ${action}`);
    if (action === "start" && this.soldOut.has(pod.gpu.id)) return problem(400, HOST_FULL);
    if (action !== "start") this.#options.onStop?.(pod);
    pod.status = action === "stop" ? "EXITED" : "RUNNING";
    this.#note();
    if (action !== "stop") this.#options.onStart?.(pod);
    return { status: 200, body: shown(pod) };
  }

  #remove(pod: FakePod): void {
    this.pods.delete(pod.id);
    this.#note();
    this.#options.onStop?.(pod);
  }

  #note(): void {
    this.#history.push({ atMs: this.#now(), shown: [...this.pods.values()].map(shown) });
  }

  #listed(): readonly unknown[] {
    const seenAtMs = this.#now() - this.listLagMs;
    return this.#history.findLast(({ atMs }) => atMs <= seenAtMs)?.shown ?? [];
  }
}

function actionsOf({ status }: FakePod): readonly string[] {
  if (status === "RUNNING") return ["stop", "restart", "terminate"];
  if (status === "EXITED") return ["start", "terminate"];
  return ["terminate"];
}

/** As a pod was seen in an answer of 2026-08-20. */
function shown(pod: FakePod): Readonly<Record<string, unknown>> {
  return {
    actions: actionsOf(pod),
    args: pod.args,
    cloud: "SECURE",
    cost: pod.cost,
    createdAt: new Date(pod.createdAtMs).toISOString(),
    cudaVersion: null,
    dataCenterId: pod.dataCenterIds[0] ?? "EU-RO-1",
    disk: pod.disk,
    env: pod.env,
    globalNetworking: { enabled: false },
    gpu: pod.gpu,
    id: pod.id,
    image: pod.image,
    locked: pod.isLocked,
    mounts: pod.mounts,
    name: pod.name,
    ports: pod.ports,
    registry: pod.registry,
    runtime: null,
    ssh: null,
    startedAt: new Date(pod.createdAtMs).toISOString(),
    status: pod.status,
    template: null,
  };
}

/** Which fields there are, and of which kind each is. */
const FIELDS: Readonly<Record<string, (value: unknown) => boolean>> = {
  name: isText,
  image: isText,
  templateId: isText,
  gpu: (value) =>
    isObjectOf(value, {
      id: isText,
      count: isCount,
      allowedCudaVersions: isTexts,
      minCudaVersion: isText,
      minRamPerGpu: isCount,
      minVcpuCountPerGpu: isCount,
    }),
  cpu: (value) => isObjectOf(value, { id: isText, vcpuCount: isCount }),
  cloud: (value) => value === "SECURE" || value === "COMMUNITY",
  args: (value) => typeof value === "string",
  disk: isCount,
  ports: isTexts,
  env: (value) => isObject(value) && Object.values(value).every((one) => typeof one === "string"),
  registry: (value) => value === null || isText(value),
  dataCenterIds: isTexts,
  mounts: (value) =>
    isObjectOf(value, {
      persistent: (one) => isObjectOf(one, { size: isCount, path: isText }),
      network: isNetworkMounts,
    }),
  globalNetworking: isFlag,
  startSsh: isFlag,
  startJupyter: isFlag,
};

function schemaErrors(body: Readonly<Record<string, unknown>>): string[] {
  const errors: string[] = [];
  for (const [name, value] of Object.entries(body)) {
    const isRight = FIELDS[name];
    if (isRight === undefined) errors.push(`$: additional properties '${name}' not allowed`);
    else if (!isRight(value)) errors.push(`$.${name}: has a wrong value`);
  }
  if (body.name === undefined) errors.push("$: missing property 'name'");
  if (body.image === undefined && body.templateId === undefined) errors.push("$: missing property 'image'");
  return errors;
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every(isText);
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 1;
}

function isFlag(value: unknown): boolean {
  return typeof value === "boolean";
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isObjectOf(value: unknown, fields: Readonly<Record<string, (value: unknown) => boolean>>): boolean {
  return isObject(value) && Object.entries(value).every(([name, one]) => fields[name]?.(one) === true);
}

/** One at most. */
function isNetworkMounts(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.length <= 1 &&
    value.every((one) => isObjectOf(one, { volumeId: isText, path: isText }))
  );
}

// biome-ignore lint/suspicious/noExplicitAny: its fields are checked by schemaErrors
function parse(text: string): any {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : { "no object": true };
  } catch {
    return { "no JSON": true };
  }
}

function problem(
  status: number,
  detail: string,
  errors: readonly string[] = [],
  headers: Readonly<Record<string, string>> = {},
): VendorReply {
  const titles: Readonly<Record<number, string>> = {
    400: "Bad Request",
    401: "Unauthorized",
    422: "Unprocessable Entity",
  };
  return {
    status,
    headers: { "content-type": "application/problem+json", ...headers },
    body: { title: titles[status] ?? "Error", status, detail, ...(errors.length === 0 ? {} : { errors }) },
  };
}
