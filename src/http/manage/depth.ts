// GET /v1/depth: how many of the caller's jobs wait and run, endpoint by endpoint.
import type { Caller } from "../../contract/identity.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { listEndpoints } from "../../db/endpoints.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { Answered } from "../kit/route.ts";

/** Waiting and running jobs of the caller, for each endpoint that its key opens. */
export async function depth(c: RouteContext, { tenantId, endpointIds }: Caller): Promise<Answered> {
  const endpoints = await askD1(() => listEndpoints(c.env.DB, tenantId, endpointIds));
  if (!endpoints.ok) return endpoints;
  const brokers = endpoints.value.map(({ endpointId }) => new BrokerClient(c.env, endpointId));
  const depths = await Promise.all(brokers.map((broker) => broker.call("depth", { tenantId })));
  const answer = [];
  for (const [at, depth] of depths.entries()) {
    if (!depth.ok) return depth;
    answer.push({ endpointId: brokers[at]?.endpointId, ...depth.value });
  }
  return jsonAnswer(200, { endpoints: answer }, c.get("requestId"));
}
