// The routes of a local endpoint: those of a deployed one that clients of jobs call, at the root and below `/v2/{endpoint}`.
import { isEndpointName } from "../../core/access/endpoint-name.ts";
import type { JobMode } from "../../core/job/job.ts";
import { toError } from "../../core/job/openai-error.ts";
import { readTtl, readWait } from "../../core/job/query.ts";
import { jsonAnswer, type LocalAnswer, type LocalCall, NO_JOB, NO_ROUTE, refuse } from "./answer.ts";
import type { LocalEndpoint } from "./endpoint.ts";
import type { SchemaCheck } from "./input-schema.ts";
import type { LocalJob } from "./job.ts";
import { openAiAnswer } from "./openai.ts";
import type { Repeats } from "./repeats.ts";
import { requestsAnswer, statusAnswer, statusWithoutOutput } from "./status.ts";
import { streamAnswer } from "./stream.ts";
import { readSubmit } from "./submit.ts";
import { syncAnswer } from "./sync.ts";

export interface Served {
  readonly endpoint: LocalEndpoint;
  readonly repeats: Repeats;
  readonly check: SchemaCheck;
}

type Answered = LocalAnswer | Promise<LocalAnswer>;

type LocalRoute = { readonly methods: readonly string[] } & (
  | { readonly ofEndpoint: (call: LocalCall, served: Served) => Answered }
  | { readonly ofJob: (call: LocalCall, served: Served, job: LocalJob) => Answered }
);

const GETS = ["GET", "HEAD"];
const READS = ["GET", "HEAD", "POST"];

/** By the first word of the path. */
const ROUTES: Readonly<Record<string, LocalRoute>> = {
  run: { methods: ["POST"], ofEndpoint: (call, served) => submit(call, served, "run") },
  runsync: { methods: ["POST"], ofEndpoint: (call, served) => submit(call, served, "runsync") },
  status: { methods: READS, ofJob: status },
  "status-sync": { methods: READS, ofJob: statusSync },
  // Without HEAD: each chunk is handed out once.
  stream: { methods: ["GET", "POST"], ofJob: (call, _served, job) => streamAnswer(call, job) },
  cancel: { methods: ["POST"], ofJob: cancel },
  retry: { methods: ["POST"], ofJob: retry },
  "purge-queue": {
    methods: ["POST"],
    ofEndpoint: (_call, { endpoint }) => jsonAnswer(200, { removed: endpoint.purge(), status: "completed" }),
  },
  health: { methods: GETS, ofEndpoint: (_call, { endpoint }) => jsonAnswer(200, endpoint.health()) },
  requests: { methods: GETS, ofEndpoint: (_call, { endpoint }) => requestsAnswer(endpoint) },
};

/** Finds the route of a call and answers it. */
export async function answerCall(call: Omit<LocalCall, "path" | "base">, served: Served): Promise<LocalAnswer> {
  const { base, path } = splitPath(call.url.pathname);
  const routed: LocalCall = { ...call, base, path };
  const isOpenAi = path.startsWith("/openai/");
  // Any page that a browser of this machine shows could call it; no key stands in its way.
  if (call.headers.get("sec-fetch-site") === "cross-site") {
    return isOpenAi ? jsonAnswer(403, { error: FOREIGN_PAGE.openAi }) : jsonAnswer(403, FOREIGN_PAGE.plain);
  }
  if (isOpenAi) return await openAiAnswer(routed, served.endpoint);
  const [name = "", id, ...more] = path.split("/").slice(1);
  const route = Object.hasOwn(ROUTES, name) ? ROUTES[name] : undefined;
  if (route === undefined || more.length > 0 || (id !== undefined) !== "ofJob" in route) return refuse(NO_ROUTE);
  if (!route.methods.includes(call.method)) {
    const allow = route.methods.filter((method) => method !== "HEAD").join(", ");
    return refuse({ kind: "method_not_allowed", allow });
  }
  if ("ofEndpoint" in route) return await route.ofEndpoint(routed, served);
  const job = served.endpoint.find(id ?? "");
  return job === null ? refuse(NO_JOB) : await route.ofJob(routed, served, job);
}

const FOREIGN_MESSAGE = "pages of other sites may not call an endpoint of this machine";
const FOREIGN_PAGE = {
  plain: { error: "forbidden", message: FOREIGN_MESSAGE },
  openAi: toError(403, FOREIGN_MESSAGE, "forbidden").error,
};

/** Empty segments are left out, as clients join paths to a base address with a slash at its end. */
function splitPath(pathname: string): { readonly base: string; readonly path: string } {
  const segments = pathname.split("/").filter((segment) => segment !== "");
  const [first, name = ""] = segments;
  const hasBase = first === "v2" && isEndpointName(name);
  return { base: hasBase ? `/v2/${name}` : "", path: `/${segments.slice(hasBase ? 2 : 0).join("/")}` };
}

async function submit(call: LocalCall, { endpoint, check, repeats }: Served, mode: JobMode): Promise<LocalAnswer> {
  const wait = mode === "run" ? null : readWait(call.url.href);
  if (wait?.ok === false) return refuse(wait.failure);
  const read = await readSubmit(call, mode, check);
  if (!read.ok) return refuse(read.failure);
  const { work, body, idempotencyKey: key } = read.value;
  const known = key === null ? null : repeats.find(key, body);
  if (known?.ok === false) return refuse(known.failure);
  const earlier = known?.value ?? null;
  const job = earlier ?? endpoint.submit(work);
  if (key !== null) repeats.keep(key, body, job);
  if (wait !== null) return await syncAnswer(call, endpoint, job, wait.value);
  return jsonAnswer(200, { id: job.id, status: earlier === null ? "IN_QUEUE" : job.state.status });
}

function status({ url }: LocalCall, { endpoint }: Served, job: LocalJob): LocalAnswer {
  const ttl = readTtl(url.href);
  if (!ttl.ok) return refuse(ttl.failure);
  if (ttl.value !== null) endpoint.setTtl(job, ttl.value);
  return statusAnswer(endpoint, job);
}

async function statusSync({ url, gone }: LocalCall, { endpoint }: Served, job: LocalJob): Promise<LocalAnswer> {
  const wait = readWait(url.href);
  if (!wait.ok) return refuse(wait.failure);
  await job.over(wait.value, gone);
  return statusAnswer(endpoint, job);
}

function cancel(_call: LocalCall, { endpoint }: Served, job: LocalJob): LocalAnswer {
  endpoint.cancel(job);
  return statusWithoutOutput(endpoint, job);
}

function retry(_call: LocalCall, { endpoint }: Served, job: LocalJob): LocalAnswer {
  if (endpoint.retry(job)) return jsonAnswer(200, { id: job.id, status: "IN_QUEUE" });
  return refuse({ kind: "wrong_state", message: `only a FAILED job can be retried; it is ${job.state.status}` });
}
