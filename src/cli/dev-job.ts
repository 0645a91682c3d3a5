// The first job of `npm start`: submitted and followed as any client would, each fact told as it appears.
import { setTimeout as sleep } from "node:timers/promises";
import type { WebhookReceiver } from "./dev-receiver.ts";

export interface FirstJob {
  readonly brokerUrl: string;
  readonly key: string;
  readonly slug: string;
  /** The raw JSON of the request, with the picture in it and the receiver as webhook. */
  readonly body: string;
  readonly receiver: WebhookReceiver;
  readonly say: (line: string) => void;
}

type Json = ReadonlyMap<string, unknown>;

const POLL_MS = 50;
/** Everything together must have come within this. */
const BOUND_MS = 60_000;
/** The promise of `/v1/usage`: a line can be read this long after the finish. */
const USAGE_BOUND_MS = 5_000;

/** Runs the job and resolves with its id. Throws one sentence that names what is missing. */
export async function runFirstJob(first: FirstJob): Promise<string> {
  const lastMs = Date.now() + BOUND_MS;
  const base = `${first.brokerUrl}/v2/${first.slug}`;
  const submitted = await call(first.key, `${base}/run`, first.body);
  const jobId = text(submitted, "id");
  first.say(`submitted   POST ${base}/run`);
  first.say(`job         ${jobId} ${text(submitted, "status")}`);
  const finished = await follow(first, `${base}/status/${jobId}`, lastMs);
  const finishedMs = Date.now();
  tellResult(finished, first.say);
  await tellBill(first, jobId, finishedMs);
  await tellWebhook(first, jobId, lastMs);
  return jobId;
}

/** Polls the status, tells each change of it, and resolves with the final answer. */
async function follow(first: FirstJob, url: string, lastMs: number): Promise<Json> {
  const startMs = Date.now();
  let shown = "";
  while (Date.now() < lastMs) {
    const job = await call(first.key, url);
    const line = describe(job);
    if (line !== shown) first.say(`${`+${((Date.now() - startMs) / 1_000).toFixed(2)} s`.padEnd(12)}${line}`);
    shown = line;
    if (["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"].includes(text(job, "status"))) return job;
    await sleep(POLL_MS);
  }
  throw new Error(`The job did not finish within ${BOUND_MS / 1_000} s; its last status was ${shown}.`);
}

function describe(job: Json): string {
  const queue = entries(job.get("queue"));
  const why = queue.size === 0 ? "" : ` (${text(queue, "reason")}: ${text(queue, "detail")})`;
  return `${text(job, "status")}${why}`;
}

function tellResult(job: Json, say: FirstJob["say"]): void {
  if (text(job, "status") !== "COMPLETED") {
    throw new Error(`The job ended ${text(job, "status")} instead of COMPLETED: ${text(job, "error")}`);
  }
  const output = entries(job.get("output"));
  const recognised = output.get("text");
  if (typeof recognised !== "string" || recognised === "") throw new Error("The job's output has no recognised text.");
  const [head = "", ...rest] = recognised.split("\n");
  say(`recognised  ${head}`);
  for (const line of rest) say(`            ${line}`);
  const [delayMs, executionMs] = [job.get("delayTime"), job.get("executionTime")];
  if (typeof delayMs !== "number" || typeof executionMs !== "number") {
    throw new Error("The final status lacks delayTime or executionTime.");
  }
  say(`took        delayTime ${delayMs} ms, executionTime ${executionMs} ms`);
}

async function tellWebhook(first: FirstJob, jobId: string, lastMs: number): Promise<void> {
  let webhook = first.receiver.find(jobId);
  while (webhook === undefined && Date.now() < lastMs) {
    await sleep(POLL_MS);
    webhook = first.receiver.find(jobId);
  }
  if (webhook === undefined) throw new Error(`The webhook of the job did not come within ${BOUND_MS / 1_000} s.`);
  if (webhook.refused !== null) throw new Error(`The webhook came, but its signature is wrong: ${webhook.refused}`);
  first.say(`webhook     received: ${webhook.status}, signature verified`);
}

async function tellBill(first: FirstJob, jobId: string, finishedMs: number): Promise<void> {
  while (true) {
    const line = await readUsageLine(first, jobId);
    if (line !== undefined) {
      first.say(`billed      ${line.seconds} s of ${line.tier} (${line.rateKind}): $${line.amountDollars}`);
      return;
    }
    if (Date.now() - finishedMs > USAGE_BOUND_MS) {
      throw new Error(`GET /v1/usage?job=${jobId} shows no line ${USAGE_BOUND_MS / 1_000} s after the finish.`);
    }
    await sleep(POLL_MS * 2);
  }
}

interface BilledLine {
  readonly tier: string;
  readonly rateKind: string;
  readonly seconds: number;
  /** Exact decimal text. */
  readonly amountDollars: string;
}

async function readUsageLine(first: FirstJob, jobId: string): Promise<BilledLine | undefined> {
  const usage = await call(first.key, `${first.brokerUrl}/v1/usage?job=${encodeURIComponent(jobId)}`);
  const lines = usage.get("lines");
  const line = entries(Array.isArray(lines) ? lines[0] : undefined);
  if (line.size === 0) return undefined;
  return {
    tier: text(line, "tier"),
    rateKind: text(line, "rateKind"),
    seconds: Number(line.get("seconds")),
    amountDollars: text(line, "amountDollars"),
  };
}

/** One call of the broker: GET, or POST when there is a body. Throws when the answer is not 200. */
async function call(key: string, url: string, body?: string): Promise<Json> {
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
  const response = await fetch(url, body === undefined ? { headers } : { method: "POST", headers, body });
  const answer = await response.text();
  if (response.status !== 200) throw new Error(`${url} answered ${response.status}: ${answer}`);
  return entries(JSON.parse(answer));
}

function entries(value: unknown): Json {
  return new Map(typeof value === "object" && value !== null ? Object.entries(value) : []);
}

function text(from: Json, name: string): string {
  const value = from.get(name);
  return typeof value === "string" ? value : "";
}
