// Routes under /v1 about the workers of an endpoint, for its owner: lists workers, and takes one out of service.
import type { WorkerView } from "../../contract/worker.ts";
import { fail } from "../../core/failure.ts";
import { summariseWorkers } from "../../core/manage/worker-summary.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { EndpointCall } from "../kit/enter.ts";
import type { Answered } from "../kit/route.ts";

/** All workers and upstreams of the endpoint, and RunPod's summary of them. */
export async function listWorkers(c: RouteContext, { caller, broker }: EndpointCall): Promise<Answered> {
  const listed = await broker.call("listWorkers", { tenantId: caller.tenantId });
  if (!listed.ok) return listed;
  const views = listed.value;
  if (views === null) return fail({ kind: "not_found", what: "endpoint" });
  return jsonAnswer(200, { workers: views.map(showWorker), summary: summariseWorkers(views) }, c.get("requestId"));
}

/** Answers the worker's open polls and gives it no more jobs; its jobs run on. To be done before it is shut down. */
export async function drainWorker(c: RouteContext, call: EndpointCall): Promise<Answered> {
  return setDraining(c, call, true);
}

/** Takes a drained worker back into service. */
export async function resumeWorker(c: RouteContext, call: EndpointCall): Promise<Answered> {
  return setDraining(c, call, false);
}

async function setDraining(c: RouteContext, { caller, broker }: EndpointCall, draining: boolean): Promise<Answered> {
  const workerId = c.req.param("worker") ?? "";
  const drained = await broker.call("drainWorker", { tenantId: caller.tenantId, workerId, draining });
  if (!drained.ok) return drained;
  return drained.value
    ? jsonAnswer(200, { id: workerId, draining }, c.get("requestId"))
    : fail({ kind: "not_found", what: "worker" });
}

function showWorker({ lastSeenAtMs, keyId, gpu, version, reason, ...rest }: WorkerView) {
  return {
    ...rest,
    lastSeenAt: lastSeenAtMs ?? undefined,
    keyId: keyId ?? undefined,
    gpu: gpu ?? undefined,
    version: version ?? undefined,
    reason: reason ?? undefined,
  };
}
