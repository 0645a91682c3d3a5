// GET /v1/depth: how many of a tenant's jobs wait and run, endpoint by endpoint; an operator's of all tenants.
import * as z from "zod";
import { depthPageShape, paginationSchema } from "../../contract/manage/page.ts";
import { ok, type Result } from "../../core/failure.ts";
import { listCallable } from "../../db/endpoints.ts";
import { listManaged } from "../../db/managed-endpoints.ts";
import type { PageStart } from "../../db/page.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { loadPage } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";
import { listOwner, ownerShape } from "./owner.ts";

const querySchema = z.strictObject({ ...depthPageShape, ...ownerShape });

const depthSchema = z
  .object({ endpointId: z.string(), waiting: z.int(), running: z.int() })
  .meta({ id: "Depth", description: "Jobs of the tenant, or of all tenants, in one endpoint" });

export const DEPTH_ROUTES: readonly Route[] = [
  operation({
    plane: "v1",
    tag: "Jobs",
    method: "GET",
    path: "/v1/depth",
    id: "getDepth",
    summary: "Count waiting and running jobs",
    description:
      "For each endpoint that the tenant may call, newest first. Each is asked, so the pages are short. With `tenant=*` for every endpoint, of all tenants together.",
    scopes: ["jobs", "manage", "admin"],
    kind: "reads",
    query: querySchema,
    answers: {
      200: {
        description: "A page of counts",
        schema: z.object({ endpoints: z.array(depthSchema), pagination: paginationSchema }),
      },
    },
    handle: depth,
  }),
];

async function depth({
  env,
  caller,
  query,
}: OperationCall<unknown, z.infer<typeof querySchema>, unknown>): Promise<Result<Reply>> {
  const owner = listOwner(caller, query.tenant);
  if (!owner.ok) return owner;
  const tenantId = owner.value;
  const { endpointIds } = caller;
  const listed = await loadPage<PageStart & { readonly isCut?: boolean }>(query, (page) =>
    tenantId === null
      ? listManaged(env.DB, null, page, endpointIds)
      : listCallable(env.DB, tenantId, page, endpointIds),
  );
  if (!listed.ok) return listed;
  const { rows, pagination } = listed.value;
  const depths = await Promise.all(rows.map(({ id }) => new BrokerClient(env, id).call("depth", { tenantId })));
  const endpoints = [];
  for (const [at, depth] of depths.entries()) {
    if (!depth.ok) return depth;
    endpoints.push({ endpointId: rows[at]?.id, ...depth.value });
  }
  return ok({ status: 200, body: { endpoints, pagination } });
}
