// What became of the jobs of a chaos run, by what a client can see: the status of each job and the tenant's usage lines.
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, type ClientJob, callJson, forEachAtOnce, submitJob } from "./jobs.ts";

export interface Verdict {
  readonly ok: boolean;
  readonly jobs: number;
  /** Jobs that have no id, are unknown to the broker, or never became COMPLETED. */
  readonly lost: number;
  /** Jobs that are COMPLETED with another output than the digest of their input. */
  readonly wrong: number;
  /** Jobs with more than one usage line, and with none. */
  readonly billedTwice: number;
  readonly unbilled: number;
  /** The first few complaints, for whoever looks into it. */
  readonly complaints: readonly string[];
}

const POLL_MS = 250;
const AT_ONCE = 16;
/** Usage lines are promised 5 s after a finish; a restarted broker may post an old batch again first. */
const USAGE_MAX_MS = 30_000;
const COMPLAINTS_MAX = 5;

/** Waits for every job, repeats every submit once more, and counts. `givenUp` ends the waiting. */
export async function judge(client: Client, jobs: readonly ClientJob[], givenUp: AbortSignal): Promise<Verdict> {
  const complaints: string[] = [];
  let lost = 0;
  let wrong = 0;
  await forEachAtOnce(jobs, AT_ONCE, async (job) => {
    const final = await waitForEnd(client, job, givenUp);
    const status = final?.get("status");
    if (status !== "COMPLETED") {
      lost += 1;
      complaints.push(`job ${job.id ?? job.idempotencyKey}: ${JSON.stringify(Object.fromEntries(final ?? []))}`);
    } else if (JSON.stringify(final?.get("output")) !== JSON.stringify({ sha256: job.sha256 })) {
      wrong += 1;
      complaints.push(`job ${job.id}: its output is not the digest of its input`);
    }
  });
  await forEachAtOnce(jobs, AT_ONCE, (job) => submitJob(client, job, givenUp));
  const lines = await readLines(client, jobs.length);
  const counts = jobs.map((job) => lines.get(job.id ?? "") ?? 0);
  const billedTwice = counts.filter((count) => count > 1).length;
  const unbilled = counts.filter((count) => count === 0).length;
  const distinct = new Set(jobs.map((job) => job.id)).size;
  if (distinct !== jobs.length) complaints.push(`${jobs.length} jobs have only ${distinct} ids`);
  const ok = lost + wrong + billedTwice + unbilled === 0 && distinct === jobs.length;
  return { ok, jobs: jobs.length, lost, wrong, billedTwice, unbilled, complaints: complaints.slice(0, COMPLAINTS_MAX) };
}

async function waitForEnd(client: Client, job: ClientJob, givenUp: AbortSignal) {
  if (job.id === undefined) return undefined;
  let answer = await callJson(client, `/v2/chaos/status/${job.id}`);
  while (!isEnded(answer) && !givenUp.aborted) {
    await sleep(POLL_MS);
    answer = await callJson(client, `/v2/chaos/status/${job.id}`);
  }
  return answer;
}

function isEnded(answer: ReadonlyMap<string, unknown> | undefined): boolean {
  return ["COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"].includes(String(answer?.get("status")));
}

/** Usage lines a job id, as soon as there are as many lines as jobs, or when the time for it is over. */
async function readLines(client: Client, expected: number): Promise<ReadonlyMap<string, number>> {
  const lastMs = Date.now() + USAGE_MAX_MS;
  while (true) {
    const lines = (await callJson(client, "/v1/usage?limit=1000"))?.get("lines");
    const counts = new Map<string, number>();
    for (const line of Array.isArray(lines) ? lines : []) {
      const id = String(new Map(Object.entries(line)).get("jobId"));
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    if (counts.size >= expected || Date.now() > lastMs) return counts;
    await sleep(POLL_MS);
  }
}
