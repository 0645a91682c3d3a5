// Routes about one job: status, status-sync, cancel, retry. Bodies are ignored, as clients send empty ones.
import { fail } from "../../core/failure.ts";
import { readTtl, readWait } from "../../core/job/query.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { JobRouteCall } from "../kit/enter.ts";
import type { Answered } from "../kit/route.ts";
import { statusAnswer } from "./status-body.ts";
import { waitForJob } from "./wait.ts";

/** The state of a job; `?ttl=` changes how long its result is kept. */
export async function status(c: RouteContext, { caller, broker, job }: JobRouteCall): Promise<Answered> {
  const ttl = readTtl(c.req.url);
  if (!ttl.ok) return ttl;
  if (ttl.value !== null && caller.token !== undefined) return fail(NOT_BY_TOKEN);
  const read = await broker.call("read", { ...job, ttlMs: ttl.value, bound: caller.bound });
  return read.ok ? statusAnswer(c, read.value) : read;
}

/** How long a result is kept is its tenant's to say, not a visitor's: what is kept counts as the tenant's. */
const NOT_BY_TOKEN = { kind: "invalid", field: "?ttl", message: "is not for a browser's token" } as const;

/** The state of a job when it is over, or when the time of `?wait=` is. */
export async function statusSync(c: RouteContext, { broker, job }: JobRouteCall): Promise<Answered> {
  const wait = readWait(c.req.url);
  if (!wait.ok) return wait;
  const waited = await waitForJob(broker, { ...job, waitMs: wait.value, known: null }, c.req.raw.signal);
  return waited.ok ? statusAnswer(c, waited.value) : waited;
}

/** A job that is over already keeps its state, and the answer contains that state. */
export async function cancel(c: RouteContext, { broker, job }: JobRouteCall): Promise<Answered> {
  const cancelled = await broker.call("cancel", job);
  return cancelled.ok ? statusAnswer(c, { ...cancelled.value, output: null }) : cancelled;
}

/** Runs a FAILED job again. As with RunPod the answer is IN_QUEUE, also where a worker has the job already. */
export async function retry(c: RouteContext, { caller, broker, job }: JobRouteCall): Promise<Answered> {
  const { waitingMax, bound } = caller;
  const again = await broker.call("retry", { ...job, waitingMax, bound });
  return again.ok ? jsonAnswer(200, { id: again.value.id, status: "IN_QUEUE" }, c.get("requestId")) : again;
}
