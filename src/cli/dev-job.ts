// The first job of `npm start`: it is submitted and followed as by any client, and each fact is printed as it appears.
import { fieldsOf, textOf } from "../core/json/value.ts";
import type { WebhookReceiver } from "./dev-receiver.ts";
import { describe, hasEnded } from "./follow-job.ts";
import { waitFor } from "./wait-for.ts";

export interface FirstJob {
  readonly brokerUrl: string;
  readonly key: string;
  readonly slug: string;
  /** The raw JSON of the request, with the picture in it and the receiver as webhook. */
  readonly body: string;
  readonly receiver: WebhookReceiver;
  readonly print: (line: string) => void;
}

/** The job, its usage line and its webhook must all have come within this time. */
const BOUND_MS = 60_000;
/** `/v1/usage` promises that a line can be read this long after the job's end. */
const USAGE_BOUND_MS = 5_000;

/** Runs the job and resolves with its id. Throws one sentence that names what is missing. */
export async function runFirstJob(first: FirstJob): Promise<string> {
  const lastMs = Date.now() + BOUND_MS;
  const base = `${first.brokerUrl}/v2/${first.slug}`;
  const submitted = await call(first.key, `${base}/run`, first.body);
  const jobId = textOf(submitted, "id");
  first.print(`submitted   POST ${base}/run`);
  first.print(`job         ${jobId} ${textOf(submitted, "status")}`);
  const finished = await follow(first, `${base}/status/${jobId}`, lastMs);
  const finishedMs = Date.now();
  printResult(finished, first.print);
  await tellBill(first, jobId, finishedMs);
  await tellWebhook(first, jobId, lastMs);
  return jobId;
}

/** Polls the status, prints each change of it, and resolves with the final answer. */
async function follow(first: FirstJob, url: string, lastMs: number): Promise<unknown> {
  const startMs = Date.now();
  let shown = "";
  const finished = await waitFor(async () => {
    const job = await call(first.key, url);
    const line = describe(job);
    if (line !== shown) first.print(`${`+${((Date.now() - startMs) / 1_000).toFixed(2)} s`.padEnd(12)}${line}`);
    shown = line;
    return hasEnded(job) ? job : undefined;
  }, lastMs);
  if (finished !== undefined) return finished;
  throw new Error(`The job did not finish within ${BOUND_MS / 1_000} s; its last status was ${shown}.`);
}

function printResult(job: unknown, print: FirstJob["print"]): void {
  if (textOf(job, "status") !== "COMPLETED") {
    throw new Error(`The job ended ${textOf(job, "status")} instead of COMPLETED: ${textOf(job, "error")}`);
  }
  const fields = fieldsOf(job);
  const recognised = textOf(fields?.output, "text");
  if (recognised === "") throw new Error("The job's output has no recognised text.");
  const [head = "", ...rest] = recognised.split("\n");
  print(`recognised  ${head}`);
  for (const line of rest) print(`            ${line}`);
  const [delayMs, executionMs] = [fields?.delayTime, fields?.executionTime];
  if (typeof delayMs !== "number" || typeof executionMs !== "number") {
    throw new Error("The final status lacks delayTime or executionTime.");
  }
  print(`took        delayTime ${delayMs} ms, executionTime ${executionMs} ms`);
}

async function tellWebhook(first: FirstJob, jobId: string, lastMs: number): Promise<void> {
  const webhook = await waitFor(() => first.receiver.find(jobId), lastMs);
  if (webhook === undefined) throw new Error(`The webhook of the job did not come within ${BOUND_MS / 1_000} s.`);
  if (webhook.refused !== null) throw new Error(`The webhook came, but its signature is wrong: ${webhook.refused}`);
  first.print(`webhook     received: ${webhook.status}, signature verified`);
}

async function tellBill(first: FirstJob, jobId: string, finishedMs: number): Promise<void> {
  const url = `${first.brokerUrl}/v1/usage?job=${encodeURIComponent(jobId)}`;
  const line = await waitFor(async () => {
    const lines = fieldsOf(await call(first.key, url))?.lines;
    return (Array.isArray(lines) ? fieldsOf(lines[0]) : null) ?? undefined;
  }, finishedMs + USAGE_BOUND_MS);
  if (line === undefined)
    throw new Error(`GET /v1/usage?job=${jobId} shows no line ${USAGE_BOUND_MS / 1_000} s after the finish.`);
  // The amount is text with exact decimals.
  const amount = `$${textOf(line, "amountDollars")}`;
  first.print(`billed      ${line.seconds} s of ${textOf(line, "tier")} (${textOf(line, "rateKind")}): ${amount}`);
}

/** One call of the broker: GET, or POST when there is a body. Throws when the answer is not 200. */
async function call(key: string, url: string, body?: string): Promise<unknown> {
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
  const response = await fetch(url, body === undefined ? { headers } : { method: "POST", headers, body });
  const answer = await response.text();
  if (response.status !== 200) throw new Error(`${url} answered ${response.status}: ${answer}`);
  return JSON.parse(answer);
}
