// What the environment of a worker holds, under the names that RunPod's SDK reads (docs/wire.md 3.1).

/** Where a worker takes its jobs and reports them. */
export interface WorkerEnvironment {
  readonly workerId: string;
  /** Sent as it is in `Authorization`. */
  readonly key: string;
  readonly takeUrl: string;
  readonly takeBatchUrl: string;
  /** Null: the address has no `/job-take/`, so there is no place to ask for jobs to stop. */
  readonly stopUrl: string | null;
  readonly doneUrl: (jobId: string) => string;
  /** Null: chunks have no address, so a generator cannot stream. */
  readonly streamUrl: ((jobId: string) => string) | null;
  /** Null: no heartbeats. */
  readonly pingUrl: string | null;
  readonly pingIntervalMs: number;
}

export type Variables = Readonly<Record<string, string | undefined>>;

const PING_INTERVAL_MS = 10_000;
/** RunPod's SDK takes no shorter one. */
const PING_INTERVAL_MIN_MS = 1_000;

/** Reads the environment of a worker that fetches its jobs. Throws one sentence that names what is missing or wrong. */
export function readEnvironment(variables: Variables, newId: string): WorkerEnvironment {
  const workerId = textOf(variables, "RUNPOD_POD_ID") ?? newId;
  const ofWorker = (name: string) => readAddress(variables, name)?.replaceAll("$RUNPOD_POD_ID", () => workerId);
  const takeUrl = required("RUNPOD_WEBHOOK_GET_JOB", ofWorker("RUNPOD_WEBHOOK_GET_JOB")).replaceAll(
    "$ID",
    () => workerId,
  );
  const doneUrl = required("RUNPOD_WEBHOOK_POST_OUTPUT", ofWorker("RUNPOD_WEBHOOK_POST_OUTPUT"));
  const streamUrl = ofWorker("RUNPOD_WEBHOOK_POST_STREAM");
  const ofJob = (url: string) => (jobId: string) => url.replaceAll("$ID", () => encodeURIComponent(jobId));
  const hasOtherPaths = takeUrl.includes("/job-take/");
  return {
    workerId,
    key: textOf(variables, "RUNPOD_AI_API_KEY") ?? "",
    takeUrl,
    takeBatchUrl: takeUrl.replace("/job-take/", "/job-take-batch/"),
    stopUrl: hasOtherPaths ? takeUrl.replace("/job-take/", "/job-stop/") : null,
    doneUrl: ofJob(doneUrl),
    streamUrl: streamUrl === undefined ? null : ofJob(streamUrl),
    pingUrl: ofWorker("RUNPOD_WEBHOOK_PING") ?? null,
    pingIntervalMs: readInterval(variables),
  };
}

/** The address with more parameters. RunPod's addresses have some already. */
export function withParameters(url: string, parameters: Readonly<Record<string, string | number>>): string {
  const pairs = Object.entries(parameters).map(([name, value]): [string, string] => [name, String(value)]);
  const added = new URLSearchParams(pairs);
  return `${url}${url.includes("?") ? "&" : "?"}${added}`;
}

/** Undefined: not set, or empty as an unset variable of a container often is. */
function textOf(variables: Variables, name: string): string | undefined {
  const text = variables[name]?.trim();
  return text === "" ? undefined : text;
}

/** What is no address would fail at each call, and not where its name can be told. */
function readAddress(variables: Variables, name: string): string | undefined {
  const text = textOf(variables, name);
  if (text !== undefined && !(/^https?:\/\//.test(text) && URL.canParse(text)))
    throw new Error(`${name} must be an address, not "${text}"`);
  return text;
}

function required(name: string, value: string | undefined): string {
  if (value !== undefined) return value;
  throw new Error(`${name} is not set: npm run worker:env prints the environment of a worker`);
}

function readInterval(variables: Variables): number {
  const text = textOf(variables, "RUNPOD_PING_INTERVAL");
  if (text === undefined) return PING_INTERVAL_MS;
  const intervalMs = Number(text);
  if (Number.isFinite(intervalMs) && intervalMs >= PING_INTERVAL_MIN_MS) return Math.floor(intervalMs);
  throw new Error(`RUNPOD_PING_INTERVAL must be milliseconds, at least ${PING_INTERVAL_MIN_MS}, not "${text}"`);
}
