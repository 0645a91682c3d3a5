// /v2/serverless: endpoints by RunPod's management API, of the caller's own tenant.
import * as z from "zod";
import type { ManagedEndpoint } from "../../contract/manage/managed-endpoint.ts";
import { paginationSchema, runPodPageShape } from "../../contract/manage/page.ts";
import {
  type CreateRunPodEndpoint,
  createRunPodEndpointSchema,
  type PatchRunPodEndpoint,
  patchRunPodEndpointSchema,
  RUNPOD_IDLE_DEFAULT_SECONDS,
  runPodEndpointSchema,
} from "../../contract/manage/runpod-endpoint.ts";
import { ok, type Result } from "../../core/failure.ts";
import { listManaged } from "../../db/managed-endpoints.ts";
import { deleteEndpoint } from "../../manage/delete-endpoint.ts";
import { changeEndpoint, createEndpoint, readEndpoint } from "../../manage/endpoints.ts";
import { toPatch, toWanted } from "../../manage/requested-endpoint.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { contextOf } from "../kit/manage-context.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { loadPage } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";
import { showRunPodEndpoint } from "../kit/shown-endpoint.ts";

const querySchema = z.object(runPodPageShape);

const READERS = ["jobs", "manage"] as const;
const WRITERS = ["manage"] as const;
const shared = { plane: "v2", tag: "Serverless" } as const;
const PATH = "/v2/serverless";

export const ENDPOINT_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    method: "GET",
    path: PATH,
    id: "listEndpoints",
    summary: "List endpoints",
    description: "The endpoints of the key's tenant, newest first.",
    scopes: READERS,
    kind: "reads",
    query: querySchema,
    answers: {
      200: {
        description: "The endpoints",
        schema: z.object({ endpoints: z.array(runPodEndpointSchema), pagination: paginationSchema }),
      },
    },
    handle: list,
  }),
  operation({
    ...shared,
    method: "POST",
    path: PATH,
    id: "createEndpoint",
    summary: "Create an endpoint",
    description:
      "Settings that need a fleet of workers are kept and given back; workers of your own serve the endpoint.",
    scopes: WRITERS,
    kind: "creates",
    body: createRunPodEndpointSchema,
    answers: { 201: { description: "The new endpoint", schema: runPodEndpointSchema } },
    handle: create,
  }),
  operation({
    ...shared,
    method: "GET",
    path: `${PATH}/:endpoint`,
    id: "getEndpoint",
    summary: "Read an endpoint",
    description: "The environment is shown to keys with the scope manage alone.",
    scopes: READERS,
    kind: "reads",
    params: endpointParams,
    answers: { 200: { description: "The endpoint", schema: runPodEndpointSchema } },
    handle: read,
  }),
  operation({
    ...shared,
    method: "PATCH",
    path: `${PATH}/:endpoint`,
    id: "updateEndpoint",
    summary: "Change an endpoint",
    description: "A field that is left out stays. What workers are started with makes a release.",
    scopes: WRITERS,
    kind: "changes",
    params: endpointParams,
    body: patchRunPodEndpointSchema,
    answers: { 200: { description: "The endpoint as it is now", schema: runPodEndpointSchema } },
    handle: change,
  }),
  operation({
    ...shared,
    method: "DELETE",
    path: `${PATH}/:endpoint`,
    id: "deleteEndpoint",
    summary: "Delete an endpoint",
    description:
      "Its waiting jobs are cancelled and its running ones ended; what they cost is billed. Repeated, it answers the same.",
    scopes: WRITERS,
    kind: "changes",
    params: endpointParams,
    answers: { 204: { description: "It is deleted", schema: null } },
    handle: remove,
  }),
];

async function list({ c, caller, query }: OperationCall<unknown, z.infer<typeof querySchema>, unknown>) {
  const found = await loadPage(query, (page) => listManaged(c.env.DB, caller.tenantId, page, caller.endpointIds));
  if (!found.ok) return found;
  const { rows, pagination } = found.value;
  const endpoints = await Promise.all(
    rows.map((row) => showRunPodEndpoint(c, caller, row, RUNPOD_IDLE_DEFAULT_SECONDS)),
  );
  return ok({ status: 200, body: { endpoints, pagination } } as const);
}

async function read(call: OperationCall<EndpointParams, unknown, unknown>): Promise<Result<Reply>> {
  const found = await readEndpoint(call, call.caller.tenantId, call.params.endpoint);
  return found.ok ? show(call, 200, found.value) : found;
}

async function create(call: OperationCall<unknown, unknown, CreateRunPodEndpoint>): Promise<Result<Reply>> {
  const { tenantId } = call.caller;
  const made = await createEndpoint(contextOf(call), toWanted(call.body, tenantId));
  if (!made.ok) return made;
  const found = await readEndpoint(call, tenantId, made.value.id);
  return found.ok ? show(call, 201, found.value) : found;
}

async function change(call: OperationCall<EndpointParams, unknown, PatchRunPodEndpoint>): Promise<Result<Reply>> {
  const changed = await changeEndpoint(contextOf(call), call.caller.tenantId, call.params.endpoint, toPatch(call.body));
  if (!changed.ok) return changed;
  return show(call, 200, changed.value.endpoint, { "x-waybill-applied": String(changed.value.applied) });
}

async function remove(call: OperationCall<EndpointParams, unknown, unknown>): Promise<Result<Reply>> {
  const deleted = await deleteEndpoint(contextOf(call), call.caller.tenantId, call.params.endpoint);
  if (!deleted.ok) return deleted;
  return ok({ status: 204, headers: { "x-waybill-applied": String(deleted.value.applied) } });
}

async function show(
  { c, caller }: Pick<OperationCall<unknown, unknown, unknown>, "c" | "caller">,
  status: 200 | 201,
  endpoint: ManagedEndpoint,
  headers: Readonly<Record<string, string>> = {},
): Promise<Result<Reply>> {
  const body = await showRunPodEndpoint(c, caller, endpoint, RUNPOD_IDLE_DEFAULT_SECONDS);
  return ok({ status, body, headers, version: endpoint.version });
}
