// /v1/endpoints: endpoints with everything that Waybill has beyond RunPod's words.
import * as z from "zod";
import {
  type CreateEndpoint,
  changedEndpointSchema,
  createEndpointSchema,
  deletedEndpointSchema,
  endpointSchema,
  IDLE_DEFAULT_SECONDS,
  type PatchEndpoint,
  patchEndpointSchema,
  type ShownEndpoint,
} from "../../contract/manage/endpoint.ts";
import type { ManagedEndpoint } from "../../contract/manage/managed-endpoint.ts";
import { pageShape, paginationSchema } from "../../contract/manage/page.ts";
import { ok, type Result } from "../../core/failure.ts";
import { INIT_DEFAULT_MS, LIFETIME_DEFAULT_MS } from "../../core/fleet/limits.ts";
import { toNanodollars } from "../../core/manage/dollars.ts";
import { typesWithoutTier } from "../../core/manage/fleet-candidates.ts";
import { givenOf } from "../../core/manage/given.ts";
import { listManaged } from "../../db/managed-endpoints.ts";
import { ownerOf } from "../../manage/context.ts";
import { deleteEndpoint } from "../../manage/delete-endpoint.ts";
import { changeEndpoint, createEndpoint, type EndpointPatch, readEndpoint } from "../../manage/endpoints.ts";
import { kindOf, toPatch } from "../../manage/requested-endpoint.ts";
import { toTimeoutMs } from "../../manage/requested-fleet.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { contextOf } from "../kit/manage-context.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { loadPage } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";
import { showRunPodEndpoint } from "../kit/shown-endpoint.ts";
import { askedTenant, listOwner, ownerShape } from "./owner.ts";
import { showDollars } from "./shown-line.ts";

const querySchema = z.strictObject({ ...pageShape, ...ownerShape });

const READERS = ["jobs", "manage", "admin"] as const;
const WRITERS = ["manage", "admin"] as const;
const shared = { plane: "v1", tag: "Endpoints" } as const;
const PATH = "/v1/endpoints";

export const OWN_ENDPOINT_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    method: "GET",
    path: PATH,
    id: "listOwnEndpoints",
    summary: "List endpoints",
    description: "Newest first. With the scope admin `?tenant` names another tenant, or all of them with `*`.",
    scopes: READERS,
    kind: "reads",
    query: querySchema,
    answers: {
      200: {
        description: "A page of endpoints",
        schema: z.object({ endpoints: z.array(endpointSchema), pagination: paginationSchema }),
      },
    },
    handle: list,
  }),
  operation({
    ...shared,
    method: "POST",
    path: PATH,
    id: "createOwnEndpoint",
    summary: "Create an endpoint",
    description:
      "Only a name or a slug is needed: FlashBoot is on and a job may run for 600 s. Add an upstream or a worker next.",
    scopes: WRITERS,
    kind: "creates",
    body: createEndpointSchema,
    answers: { 201: { description: "The new endpoint", schema: endpointSchema } },
    handle: create,
  }),
  operation({
    ...shared,
    method: "GET",
    path: `${PATH}/:endpoint`,
    id: "getOwnEndpoint",
    summary: "Read an endpoint",
    description: "The environment of its workers is shown to keys of its tenant with the scope manage alone.",
    scopes: READERS,
    kind: "reads",
    params: endpointParams,
    answers: { 200: { description: "The endpoint", schema: endpointSchema } },
    handle: read,
  }),
  operation({
    ...shared,
    method: "PATCH",
    path: `${PATH}/:endpoint`,
    id: "updateOwnEndpoint",
    summary: "Change an endpoint",
    description:
      "A field that is left out stays. With If-Match the change is made only if the endpoint has that version.",
    scopes: WRITERS,
    kind: "changes",
    params: endpointParams,
    body: patchEndpointSchema,
    answers: { 200: { description: "The endpoint as it is now", schema: changedEndpointSchema } },
    handle: change,
  }),
  operation({
    ...shared,
    method: "DELETE",
    path: `${PATH}/:endpoint`,
    id: "deleteOwnEndpoint",
    summary: "Delete an endpoint",
    description:
      "It is unknown at once; its waiting jobs are cancelled, its running ones ended and billed, every line and webhook goes out, and a day later nothing of it is left but the bill. Repeated with its id, it answers the same.",
    scopes: WRITERS,
    kind: "changes",
    params: endpointParams,
    answers: { 200: { description: "It is deleted", schema: deletedEndpointSchema } },
    handle: remove,
  }),
];

async function list({
  c,
  caller,
  query,
}: OperationCall<unknown, z.infer<typeof querySchema>, unknown>): Promise<Result<Reply>> {
  const owner = listOwner(caller, query.tenant);
  if (!owner.ok) return owner;
  const found = await loadPage(query, (page) => listManaged(c.env.DB, owner.value, page, caller.endpointIds));
  if (!found.ok) return found;
  const { rows, pagination } = found.value;
  const endpoints = await Promise.all(rows.map((row) => show({ c, caller }, row)));
  return ok({ status: 200, body: { endpoints, pagination } });
}

async function read(call: OperationCall<EndpointParams, unknown, unknown>): Promise<Result<Reply>> {
  const found = await readEndpoint(call, ownerOf(call.caller), call.params.endpoint);
  if (!found.ok) return found;
  return ok({ status: 200, body: await show(call, found.value), version: found.value.version });
}

async function create(call: OperationCall<unknown, unknown, CreateEndpoint>): Promise<Result<Reply>> {
  const { tenantId: asked, name, type, timeout, env = {}, ...fields } = call.body;
  const tenantId = askedTenant(call.caller, asked);
  if (!tenantId.ok) return tenantId;
  // RunPod's load balancer knows no delay of a queue.
  const scaling = fields.scaling ?? (type === "LOAD_BALANCER" ? BY_REQUESTS : undefined);
  const made = await createEndpoint(contextOf(call), {
    ...toSettings(fields),
    tenantId: tenantId.value,
    name: name ?? fields.slug ?? "",
    kind: kindOf(type),
    executionTimeoutMs: toTimeoutMs(timeout),
    fields: { ...fields, ...toFleet(fields), scaling },
    templateId: fields.templateId,
    workerEnv: env,
    needsHardware: false,
  });
  if (!made.ok) return made;
  const found = await readEndpoint(call, ownerOf(call.caller), made.value.id);
  if (!found.ok) return found;
  return ok({ status: 201, body: await show(call, found.value), version: found.value.version });
}

const BY_REQUESTS = { type: "REQUEST_COUNT", requestCount: 4 } as const;

async function change(call: OperationCall<EndpointParams, unknown, PatchEndpoint>): Promise<Result<Reply>> {
  const { fields, ...others } = toPatch(call.body);
  const patch = { ...toSettings(call.body), ...others, fields: { ...fields, ...toFleet(call.body) } };
  const changed = await changeEndpoint(contextOf(call), ownerOf(call.caller), call.params.endpoint, patch);
  if (!changed.ok) return changed;
  const { endpoint, applied } = changed.value;
  return ok({ status: 200, body: { ...(await show(call, endpoint)), applied }, version: endpoint.version });
}

async function remove(call: OperationCall<EndpointParams, unknown, unknown>): Promise<Result<Reply>> {
  const deleted = await deleteEndpoint(contextOf(call), ownerOf(call.caller), call.params.endpoint);
  return deleted.ok ? ok({ status: 200, body: deleted.value }) : deleted;
}

/** The fields of a request that RunPod has no words for, as they are stored. */
function toSettings({
  slug,
  paused,
  maxAttempts,
  ttl,
  retention,
  bodyMaxBytes,
  inferenceRoutes,
  tenantSharePercent,
  allowedOrigins,
  inputSchema,
  visibility,
}: Omit<PatchEndpoint, "gpu" | "name" | "timeout" | "env">): Omit<EndpointPatch, "fields"> {
  const settings = {
    slug,
    paused,
    maxAttempts,
    ttlMs: ttl,
    runRetentionMs: retention?.run,
    runsyncRetentionMs: retention?.runsync,
    bodyMaxBytes,
    openaiRoutes: inferenceRoutes,
    tenantSharePercent,
    allowedOrigins,
    // Compact, so that its size does not depend on how it was sent.
    inputSchema: inputSchema === undefined || inputSchema === null ? inputSchema : JSON.stringify(inputSchema),
    shared: visibility === undefined ? undefined : visibility === "PUBLIC",
  };
  return givenOf(settings);
}

/** What a request says of a fleet beyond RunPod's fields, as it is stored. */
function toFleet({
  workers,
  providers,
  schedule,
  maxCostPerHour: dollars,
  initTimeout,
  workerLifetime,
}: Pick<PatchEndpoint, "workers" | "providers" | "schedule" | "maxCostPerHour" | "initTimeout" | "workerLifetime">) {
  const ceilingNanodollarsPerHour = dollars === undefined || dollars === null ? dollars : toNanodollars(dollars);
  return givenOf({ workers, providers, schedule, ceilingNanodollarsPerHour, initTimeout, workerLifetime });
}

async function show(
  { c, caller }: Pick<OperationCall<unknown, unknown, unknown>, "c" | "caller">,
  endpoint: ManagedEndpoint,
): Promise<ShownEndpoint> {
  const { slug, tenantId, version, release, templateId, paused, maxAttempts, bodyMaxBytes, tenantSharePercent, fleet } =
    endpoint;
  const shown = await showRunPodEndpoint(c, caller, endpoint, IDLE_DEFAULT_SECONDS);
  const { providers, schedule, ceilingNanodollarsPerHour: ceiling, gpu } = fleet;
  return {
    ...shown,
    workers: { ...shown.workers, slots: fleet.workers.slots },
    providers,
    schedule,
    maxCostPerHour: ceiling === null ? null : showDollars(ceiling),
    initTimeout: fleet.initTimeout ?? INIT_DEFAULT_MS / 1_000,
    workerLifetime: fleet.workerLifetime ?? LIFETIME_DEFAULT_MS / 1_000,
    gpuTypesWithoutTier: typesWithoutTier(gpu),
    slug,
    tenantId,
    version,
    release,
    templateId,
    paused,
    maxAttempts,
    ttl: endpoint.ttlMs,
    retention: { run: endpoint.runRetentionMs, runsync: endpoint.runsyncRetentionMs },
    bodyMaxBytes,
    inferenceRoutes: endpoint.openaiRoutes,
    tenantSharePercent,
    allowedOrigins: endpoint.allowedOrigins,
    inputSchema: endpoint.inputSchema === null ? null : JSON.parse(endpoint.inputSchema),
    visibility: endpoint.shared ? "PUBLIC" : "PRIVATE",
  };
}
