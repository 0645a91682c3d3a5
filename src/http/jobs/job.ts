// Routes about one job: status, status-sync, cancel, retry. Bodies are ignored, as clients send empty ones.
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { JobRouteCall } from "../kit/enter.ts";
import { readTtl, readWait } from "../kit/query.ts";
import type { Answered } from "../kit/route.ts";
import { statusAnswer } from "./status-body.ts";
import { waitForJob } from "./wait.ts";

/** The state of a job; `?ttl=` changes how long its result is kept. */
export async function status(c: RouteContext, { caller, broker, jobId }: JobRouteCall): Promise<Answered> {
  const ttl = readTtl(c.req.url);
  if (!ttl.ok) return ttl;
  const { tenantId, bound } = caller;
  const job = await broker.call("read", { tenantId, jobId, ttlMs: ttl.value, bound });
  return job.ok ? statusAnswer(c, job.value) : job;
}

/** The state of a job when it is over, or when the time of `?wait=` is. */
export async function statusSync(c: RouteContext, { caller, broker, jobId }: JobRouteCall): Promise<Answered> {
  const wait = readWait(c.req.url);
  if (!wait.ok) return wait;
  const call = { tenantId: caller.tenantId, jobId, waitMs: wait.value, known: null };
  const job = await waitForJob(broker, call, c.req.raw.signal);
  return job.ok ? statusAnswer(c, job.value) : job;
}

/** A job that is over already keeps its state, and the answer contains that state. */
export async function cancel(c: RouteContext, { caller, broker, jobId }: JobRouteCall): Promise<Answered> {
  const job = await broker.call("cancel", { tenantId: caller.tenantId, jobId });
  return job.ok ? statusAnswer(c, { ...job.value, output: null }) : job;
}

/** Runs a FAILED job again. As with RunPod the answer is IN_QUEUE, also where a worker has the job already. */
export async function retry(c: RouteContext, { caller, broker, jobId }: JobRouteCall): Promise<Answered> {
  const { tenantId, waitingMax, bound } = caller;
  const job = await broker.call("retry", { tenantId, jobId, waitingMax, bound });
  return job.ok ? jsonAnswer(200, { id: job.value.id, status: "IN_QUEUE" }, c.get("requestId")) : job;
}
