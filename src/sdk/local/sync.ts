// The answer of /runsync: at once where the job ends at once, and else a status line with the job's id, and the body when the job or the
// wait is over.
import { SYNC_HEAD_AFTER_MS, SYNC_SPACE_EVERY_MS } from "../../core/limits.ts";
import { type LocalAnswer, type LocalCall, rawAnswer } from "./answer.ts";
import type { LocalEndpoint } from "./endpoint.ts";
import type { LocalJob } from "./job.ts";
import { statusText } from "./status.ts";

export async function syncAnswer(
  call: LocalCall,
  endpoint: LocalEndpoint,
  job: LocalJob,
  waitMs: number,
): Promise<LocalAnswer> {
  const headers = { "x-job-id": job.id, location: `${call.base}/status/${job.id}` };
  const endMs = performance.now() + waitMs;
  await job.over(Math.min(waitMs, SYNC_HEAD_AFTER_MS), call.gone);
  const isDone = job.isOver || performance.now() >= endMs;
  return rawAnswer(200, isDone ? statusText(endpoint, job) : spaced(call, endpoint, job, endMs), headers);
}

/** White space keeps proxies from cutting a silent connection, and readers of JSON ignore it. */
async function* spaced(
  { gone }: LocalCall,
  endpoint: LocalEndpoint,
  job: LocalJob,
  endMs: number,
): AsyncGenerator<string> {
  for (;;) {
    const leftMs = endMs - performance.now();
    if (await job.over(Math.min(leftMs, SYNC_SPACE_EVERY_MS), gone)) break;
    if (gone.aborted || performance.now() >= endMs) break;
    yield " ";
  }
  yield statusText(endpoint, job);
}
