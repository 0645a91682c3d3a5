// A worker that pulls as runpod 1.12 does, in what the broker reads of it but in one process of Node: `node test/load/pull-worker.ts`
// with the environment of a RunPod worker. Its handler sleeps for `work_ms` of the input and gives the input back. It asks for
// the next job at once where the SDK pauses a second. Imports little: fifty of them start on two cores.
import { Agent, type IncomingMessage, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_GIVEN_UP_MS = 90_000;
const TOO_MANY_PAUSE_MS = 5_000;
const STOP_PAUSE_MS = 1_000;
/** runpod 1.12 posts a result three times where the answer is 5xx, with these pauses between. */
const DONE_PAUSES_MS = [2_000, 3_000];

interface Answer {
  readonly status: number;
  readonly isJson: boolean;
  readonly text: string;
}

const agent = new Agent({ keepAlive: true });
const workerId = variable("RUNPOD_POD_ID");
const takeUrl = variable("RUNPOD_WEBHOOK_GET_JOB").replaceAll("$ID", workerId);
const doneUrl = variable("RUNPOD_WEBHOOK_POST_OUTPUT").replaceAll("$RUNPOD_POD_ID", workerId);
const pingUrl = variable("RUNPOD_WEBHOOK_PING").replaceAll("$RUNPOD_POD_ID", workerId);
const pingEveryMs = Math.floor(Number(variable("RUNPOD_PING_INTERVAL")) / 1_000) * 1_000;
const common = {
  Authorization: variable("RUNPOD_AI_API_KEY"),
  "User-Agent": "RunPod-Python-SDK/1.12.0 (Linux 6.1; x86_64) Language/Python 3.11.2",
  Accept: "*/*",
};
/** What runs now: job id → how its handler is interrupted. */
const running = new Map<string, AbortController>();

// Whoever started it holds this pipe: without its starter a worker would ask for ever.
process.stdin.resume().on("end", () => process.exit());
void pingForever();
void stopForever();
await takeForever();

function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`${name} is not set`);
  return value;
}

async function takeForever(): Promise<never> {
  let lastJob: string | null = null;
  while (true) {
    const url = `${takeUrl}&job_in_progress=${running.size > 0 ? 1 : 0}`;
    // The SDK sends the id of a job that it had before; it means nothing.
    const stale = lastJob === null ? {} : { "X-Request-ID": lastJob };
    const answer = await poll(url, { ...common, "Content-Type": "application/json", ...stale });
    if (answer?.status === 429) await sleep(TOO_MANY_PAUSE_MS);
    const job = answer?.status === 200 && answer.isJson ? readJob(answer.text) : null;
    if (job === null) continue;
    lastJob = job.id;
    await run(job);
  }
}

function readJob(text: string): { readonly id: string; readonly input: unknown } | null {
  try {
    const job: unknown = JSON.parse(text);
    if (typeof job !== "object" || job === null || !("id" in job) || !("input" in job)) return null;
    return typeof job.id === "string" ? { id: job.id, input: job.input } : null;
  } catch {
    return null;
  }
}

async function run({ id, input }: { readonly id: string; readonly input: unknown }): Promise<void> {
  const stopped = new AbortController();
  running.set(id, stopped);
  try {
    await sleep(workMs(input), undefined, { signal: stopped.signal });
    await post(id, JSON.stringify({ output: input }));
  } catch {
    // Stopped: no result follows. Or the result could not be sent: the SDK drops it.
  } finally {
    running.delete(id);
  }
}

function workMs(input: unknown): number {
  const hasTime = typeof input === "object" && input !== null && "work_ms" in input;
  return hasTime && typeof input.work_ms === "number" ? input.work_ms : 0;
}

async function post(id: string, body: string): Promise<void> {
  const headers = {
    ...common,
    "Content-Type": "application/x-www-form-urlencoded",
    charset: "utf-8",
    "X-Request-ID": id,
  };
  const url = `${doneUrl.replaceAll("$ID", id)}&isStream=false`;
  for (const pauseMs of [...DONE_PAUSES_MS, null]) {
    const { status } = await call(url, headers, body);
    if (status < 500 || pauseMs === null) return;
    await sleep(pauseMs);
  }
}

async function stopForever(): Promise<never> {
  const url = takeUrl.replace("/job-take/", "/job-stop/");
  while (true) {
    const answer = await poll(url, { ...common, "Content-Type": "application/json" });
    if (answer?.status === 200 && answer.isJson) {
      const { jobsToStop }: { jobsToStop: unknown[] } = JSON.parse(answer.text);
      for (const id of jobsToStop) if (typeof id === "string") running.get(id)?.abort();
    } else await sleep(answer?.status === 429 ? TOO_MANY_PAUSE_MS : STOP_PAUSE_MS);
  }
}

async function pingForever(): Promise<never> {
  while (true) {
    const ids = [...running.keys()].join(",");
    const jobs = ids === "" ? "" : `&job_id=${encodeURIComponent(ids)}`;
    await poll(`${pingUrl}${jobs}&runpod_version=1.12.0`, { ...common, "User-Agent": "python-requests/2.28.1" });
    await sleep(pingEveryMs);
  }
}

/** A GET whose failure is nothing but a reason to ask again. */
async function poll(url: string, headers: Readonly<Record<string, string>>): Promise<Answer | null> {
  try {
    return await call(url, headers);
  } catch {
    return null;
  }
}

function call(url: string, headers: Readonly<Record<string, string>>, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(url, {
      agent,
      method: body === undefined ? "GET" : "POST",
      headers: body === undefined ? headers : { ...headers, "Content-Length": Buffer.byteLength(body) },
      signal: AbortSignal.timeout(POLL_GIVEN_UP_MS),
    });
    asked.once("error", reject);
    asked.once("response", (response) => read(response).then(resolve, reject));
    asked.end(body);
  });
}

async function read(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const isJson = (response.headers["content-type"] ?? "").startsWith("application/json");
  return { status: response.statusCode ?? 0, isJson, text: Buffer.concat(chunks).toString("utf8") };
}
