// Routes under /v1 about the caller's tenant as a whole.
import type { Hono } from "hono";
import { callBroker } from "../../broker/stub.ts";
import { listEndpoints } from "../../db/endpoints.ts";
import { jsonAnswer } from "../kit/answer.ts";
import { askD1 } from "../kit/ask-d1.ts";
import type { RouteContext, Routing } from "../kit/routing.ts";
import { enter, refuse } from "../kit/routing.ts";

/** Adds the routes under /v1. */
export function addAccountRoutes(app: Hono<Routing>): void {
  app.get("/v1/depth", depth);
}

/** Waiting and running jobs of the caller, for each endpoint that it may call. */
async function depth(c: RouteContext): Promise<Response> {
  const caller = await enter(c, "jobs");
  if (!caller.ok) return refuse(c, caller.failure);
  const { tenantId } = caller.value;
  const endpoints = await askD1(() => listEndpoints(c.env.DB, tenantId));
  if (!endpoints.ok) return refuse(c, endpoints.failure);
  const depths = await Promise.all(
    endpoints.value.map(async ({ endpointId }) => ({
      endpointId,
      depth: await callBroker(c.env, endpointId, (broker) => broker.depth({ tenantId }), { idempotent: true }),
    })),
  );
  const answer = [];
  for (const { endpointId, depth } of depths) {
    if (!depth.ok) return refuse(c, depth.failure);
    answer.push({ endpointId, waiting: depth.value.waiting, running: depth.value.running });
  }
  return jsonAnswer(200, { endpoints: answer }, c.get("requestId"));
}
