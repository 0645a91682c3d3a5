// Routes about the caller's jobs of one endpoint together: purge-queue, health, requests.
import type { Hono } from "hono";
import { callBroker } from "../../broker/stub.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext, Routing } from "../kit/routing.ts";
import { enterAnyEndpoint, enterEndpoint, refuse } from "../kit/routing.ts";
import { requestsAnswer } from "./status-body.ts";

/** Adds the routes of a queue. */
export function addQueueRoutes(app: Hono<Routing>): void {
  app.post("/v2/:endpoint/purge-queue", purgeQueue);
  app.get("/v2/:endpoint/health", health);
  app.get("/v2/:endpoint/requests", requests);
}

/** Purging twice is harmless, but the second count would be wrong: not asked again after a reset. */
async function purgeQueue(c: RouteContext): Promise<Response> {
  const entered = await enterEndpoint(c);
  if (!entered.ok) return refuse(c, entered.failure);
  const { tenantId } = entered.value.caller;
  const { endpointId } = entered.value.settings;
  const purged = await callBroker(c.env, endpointId, (broker) => broker.purgeQueue({ tenantId }), {
    idempotent: false,
  });
  if (!purged.ok) return refuse(c, purged.failure);
  return jsonAnswer(200, { removed: purged.value.removed, status: "completed" }, c.get("requestId"));
}

/** The one route that endpoints of both kinds have. */
async function health(c: RouteContext): Promise<Response> {
  const entered = await enterAnyEndpoint(c, c.req.param("endpoint") ?? "");
  if (!entered.ok) return refuse(c, entered.failure);
  const { tenantId } = entered.value.caller;
  const { endpointId } = entered.value.settings;
  const answer = await callBroker(c.env, endpointId, (broker) => broker.health({ tenantId }), { idempotent: true });
  if (!answer.ok) return refuse(c, answer.failure);
  const { jobs, workers } = answer.value;
  return jsonAnswer(200, { jobs, workers }, c.get("requestId"));
}

async function requests(c: RouteContext): Promise<Response> {
  const entered = await enterEndpoint(c);
  if (!entered.ok) return refuse(c, entered.failure);
  const { tenantId } = entered.value.caller;
  const { endpointId } = entered.value.settings;
  const answer = await callBroker(c.env, endpointId, (broker) => broker.requests({ tenantId }), { idempotent: true });
  return answer.ok ? requestsAnswer(c, answer.value.jobs) : refuse(c, answer.failure);
}
