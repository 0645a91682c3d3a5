// Submits a job and follows it to its end, as any client does: its status, or its chunks as they come.
import { setTimeout as sleep } from "node:timers/promises";
import { type Fields, fieldsOf, textOf } from "../core/json/value.ts";
import { type Api, part, Refusal } from "./api.ts";
import { Failed } from "./wrong-use.ts";

const ENDED = ["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"];
/** A call that waits for the end, and answers with what the job is doing when this is over. */
const WAIT_MS = 2_000;
/** An outage of the broker ends nothing: the job goes on, and its result is kept for half an hour. */
const OUTAGE_MAX_MS = 60_000;
const OUTAGE_PAUSE_MS = 1_000;
/** The stream answers at once while nothing has come. */
const STREAM_PAUSE_MS = 200;

const SUBMITS_MAX = 3;

export interface Followed {
  readonly api: Api;
  readonly endpoint: string;
  readonly jobId: string;
  /** Is called with a line whenever what the job does has changed. */
  readonly tell: (line: string) => void;
}

/** Submits a request, again where no answer came: by `once` the broker makes one job of all of them. */
export async function submitJob(api: Api, endpoint: string, body: string, once: string): Promise<Fields> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await api.post(`/v2/${part(endpoint)}/run`, body, once);
    } catch (error) {
      if (!mayPass(error) || tries === SUBMITS_MAX) throw error;
    }
    await sleep(OUTAGE_PAUSE_MS);
  }
}

/** Resolves with the last answer of its status. */
export async function followJob(job: Followed): Promise<Fields> {
  let told = "";
  for (;;) {
    const answer = await askOn(job, `status-sync/${part(job.jobId)}?wait=${WAIT_MS}`);
    if (hasEnded(answer)) return answer;
    const line = describe(answer);
    if (line !== told) job.tell(line);
    told = line;
  }
}

/** Calls back with each chunk, in order, and resolves with the last answer of its status. */
export async function followStream(job: Followed, chunk: (output: unknown) => void): Promise<Fields> {
  for (;;) {
    const answer = await askOn(job, `stream/${part(job.jobId)}`);
    const chunks = Array.isArray(answer.stream) ? answer.stream : [];
    for (const each of chunks) chunk(fieldsOf(each)?.output);
    if (chunks.length === 0 && hasEnded(answer)) return askOn(job, `status/${part(job.jobId)}`);
    if (chunks.length === 0) await sleep(STREAM_PAUSE_MS);
  }
}

/** Asks again while the broker cannot be reached or is in trouble, because the job is not. */
async function askOn({ api, endpoint }: Followed, path: string): Promise<Fields> {
  const lastMs = Date.now() + OUTAGE_MAX_MS;
  for (;;) {
    try {
      return await api.get(`/v2/${part(endpoint)}/${path}`);
    } catch (error) {
      if (!mayPass(error) || Date.now() > lastMs) throw error;
    }
    await sleep(OUTAGE_PAUSE_MS);
  }
}

/** Whether the answer of a job's status is its last one. */
export function hasEnded(job: unknown): boolean {
  return ENDED.includes(textOf(job, "status"));
}

function mayPass(error: unknown): boolean {
  if (error instanceof Refusal) return error.status >= 500 || error.status === 429;
  return error instanceof Failed && error.ending === "unreachable";
}

/** `IN_QUEUE (NO_WORKERS: no worker is connected)` */
export function describe(job: unknown): string {
  const queue = fieldsOf(fieldsOf(job)?.queue);
  const why = queue === null ? "" : ` (${textOf(queue, "reason")}: ${textOf(queue, "detail")})`;
  return `${textOf(job, "status")}${why}`;
}
