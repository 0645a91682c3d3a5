// Routes under /v1 about the workers of an endpoint, for its owner: the list, and taking one out of service.
import type { Hono } from "hono";
import { callBroker } from "../../broker/stub.ts";
import type { Scope } from "../../contract/identity.ts";
import type { WorkerView } from "../../contract/worker.ts";
import type { Result } from "../../core/failure.ts";
import { ok } from "../../core/failure.ts";
import { jsonAnswer } from "../kit/answer.ts";
import { findEndpoint } from "../kit/find-endpoint.ts";
import { enter, type RouteContext, type Routing, refuse } from "../kit/routing.ts";

/** Adds the routes of workers. */
export function addWorkerViewRoutes(app: Hono<Routing>): void {
  app.get("/v1/endpoints/:endpoint/workers", list);
  app.post("/v1/endpoints/:endpoint/workers/:worker/drain", (c) => setDraining(c, true));
  app.post("/v1/endpoints/:endpoint/workers/:worker/resume", (c) => setDraining(c, false));
}

/** The endpoint as its owner calls it. A shared one of another tenant is told apart by the broker. */
async function enterOwned(
  c: RouteContext,
  scope: Scope,
): Promise<Result<{ readonly tenantId: string; readonly endpointId: string }>> {
  const caller = await enter(c, scope);
  if (!caller.ok) return caller;
  const found = await findEndpoint(c.req.param("endpoint") ?? "", caller.value, c.env, Date.now());
  if (!found.ok) return found;
  return ok({ tenantId: caller.value.tenantId, endpointId: found.value.settings.endpointId });
}

async function list(c: RouteContext): Promise<Response> {
  const owned = await enterOwned(c, "jobs");
  if (!owned.ok) return refuse(c, owned.failure);
  const { tenantId, endpointId } = owned.value;
  const listed = await callBroker(c.env, endpointId, (broker) => broker.listWorkers({ tenantId }), {
    idempotent: true,
  });
  if (!listed.ok) return refuse(c, listed.failure);
  const views = listed.value;
  if (views === null) return refuse(c, { kind: "not_found" });
  return jsonAnswer(200, { workers: views.map(showWorker), summary: summarise(views) }, c.get("requestId"));
}

/** Drained: its open polls are answered and it gets no more jobs; what it runs runs on. To be done before it is shut down. */
async function setDraining(c: RouteContext, draining: boolean): Promise<Response> {
  const owned = await enterOwned(c, "manage");
  if (!owned.ok) return refuse(c, owned.failure);
  const { tenantId, endpointId } = owned.value;
  const call = { tenantId, workerId: c.req.param("worker") ?? "", draining };
  const drained = await callBroker(c.env, endpointId, (broker) => broker.drainWorker(call), { idempotent: true });
  if (!drained.ok) return refuse(c, drained.failure);
  if (!drained.value) return refuse(c, { kind: "not_found" });
  return jsonAnswer(200, { id: call.workerId, draining }, c.get("requestId"));
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

/** RunPod's summary of a list of workers. */
function summarise(views: readonly WorkerView[]) {
  const count = (state: WorkerView["state"]): number => views.filter((view) => view.state === state).length;
  return {
    running: count("RUNNING"),
    idle: count("IDLE"),
    initializing: count("INITIALIZING"),
    throttled: count("THROTTLED"),
    unhealthy: count("UNHEALTHY"),
    total: views.length,
  };
}
