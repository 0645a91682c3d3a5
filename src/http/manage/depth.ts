// GET /v1/depth: how many of the caller's jobs wait and run, endpoint by endpoint.
import * as z from "zod";
import { ok, type Result } from "../../core/failure.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { listEndpoints } from "../../db/endpoints.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";

const depthSchema = z
  .object({ endpointId: z.string(), waiting: z.int(), running: z.int() })
  .meta({ id: "Depth", description: "Jobs of the key's tenant in one endpoint" });

export const DEPTH_ROUTES: readonly Route[] = [
  operation({
    plane: "v1",
    tag: "Jobs",
    method: "GET",
    path: "/v1/depth",
    id: "getDepth",
    summary: "Count waiting and running jobs",
    description: "For each endpoint that the key opens.",
    scopes: ["jobs", "manage", "admin"],
    kind: "reads",
    query: z.strictObject({}),
    answers: { 200: { description: "The counts", schema: z.object({ endpoints: z.array(depthSchema) }) } },
    handle: depth,
  }),
];

async function depth({ env, caller }: OperationCall<unknown, unknown, unknown>): Promise<Result<Reply>> {
  const { tenantId, endpointIds } = caller;
  const listed = await askD1(() => listEndpoints(env.DB, tenantId, endpointIds));
  if (!listed.ok) return listed;
  const brokers = listed.value.map(({ endpointId }) => new BrokerClient(env, endpointId));
  const depths = await Promise.all(brokers.map((broker) => broker.call("depth", { tenantId })));
  const endpoints = [];
  for (const [at, depth] of depths.entries()) {
    if (!depth.ok) return depth;
    endpoints.push({ endpointId: brokers[at]?.endpointId, ...depth.value });
  }
  return ok({ status: 200, body: { endpoints } });
}
