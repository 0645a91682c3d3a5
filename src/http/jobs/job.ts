// Routes about one job: status, status-sync, cancel, retry. Bodies are ignored, as clients send empty ones.
import type { Hono } from "hono";
import { callBroker } from "../../broker/stub.ts";
import { jsonAnswer } from "../kit/answer.ts";
import { readTtl, readWait } from "../kit/query.ts";
import type { RouteContext, Routing } from "../kit/routing.ts";
import { enterJob, flatten, refuse } from "../kit/routing.ts";
import { statusAnswer } from "./status-body.ts";
import { waitForJob } from "./wait.ts";

/** Adds the routes of a job. The Go client posts to status, the others get it. */
export function addJobRoutes(app: Hono<Routing>): void {
  app.on(["GET", "POST"], "/v2/:endpoint/status/:id", status);
  app.on(["GET", "POST"], "/v2/:endpoint/status-sync/:id", statusSync);
  app.post("/v2/:endpoint/cancel/:id", cancel);
  app.post("/v2/:endpoint/retry/:id", retry);
}

async function status(c: RouteContext): Promise<Response> {
  const entered = await enterJob(c);
  if (!entered.ok) return refuse(c, entered.failure);
  const ttl = readTtl(c.req.url);
  if (!ttl.ok) return refuse(c, ttl.failure);
  const { caller, settings, jobId } = entered.value;
  const call = { tenantId: caller.tenantId, jobId, ttlMs: ttl.value };
  const job = flatten(
    await callBroker(c.env, settings.endpointId, (broker) => broker.read(call), { idempotent: true }),
  );
  return job.ok ? statusAnswer(c, job.value) : refuse(c, job.failure);
}

async function statusSync(c: RouteContext): Promise<Response> {
  const entered = await enterJob(c);
  if (!entered.ok) return refuse(c, entered.failure);
  const wait = readWait(c.req.url);
  if (!wait.ok) return refuse(c, wait.failure);
  const { caller, settings, jobId } = entered.value;
  const { endpointId } = settings;
  const call = { endpointId, tenantId: caller.tenantId, jobId, waitMs: wait.value, known: null };
  const job = await waitForJob(c.env, call, c.req.raw.signal);
  return job.ok ? statusAnswer(c, job.value) : refuse(c, job.failure);
}

/** A job that is over already keeps its state, and that is the answer. */
async function cancel(c: RouteContext): Promise<Response> {
  const entered = await enterJob(c);
  if (!entered.ok) return refuse(c, entered.failure);
  const { caller, settings, jobId } = entered.value;
  const call = { tenantId: caller.tenantId, jobId };
  const job = flatten(
    await callBroker(c.env, settings.endpointId, (broker) => broker.cancel(call), { idempotent: true }),
  );
  return job.ok ? statusAnswer(c, { ...job.value, output: null }) : refuse(c, job.failure);
}

/** Not idempotent: a second retry of a job that failed again in between would run it once more. */
async function retry(c: RouteContext): Promise<Response> {
  const entered = await enterJob(c);
  if (!entered.ok) return refuse(c, entered.failure);
  const { caller, settings, jobId } = entered.value;
  const call = { tenantId: caller.tenantId, jobId, waitingMax: caller.waitingMax };
  const job = flatten(
    await callBroker(c.env, settings.endpointId, (broker) => broker.retry(call), { idempotent: false }),
  );
  if (!job.ok) return refuse(c, job.failure);
  return jsonAnswer(200, { id: job.value.id, status: job.value.status }, c.get("requestId"));
}
