// /v1/endpoints/{endpoint}/worker-keys: keys of workers that fetch jobs; and /worker-env: the environment of such a worker.
import * as z from "zod";
import { readConfig } from "../../config.ts";
import { pageShape, paginationSchema } from "../../contract/manage/page.ts";
import {
  type CreateWorkerEnv,
  type CreateWorkerKey,
  createdWorkerKeySchema,
  createWorkerEnvSchema,
  createWorkerKeySchema,
  revokedWorkerKeySchema,
  type ShownWorkerKey,
  workerEnvSchema,
  workerKeySchema,
} from "../../contract/manage/worker-key.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { checkBase, inForm, workerVariables } from "../../core/manage/worker-forms.ts";
import { listWorkerKeys, type ManagedWorkerKey } from "../../db/worker-keys.ts";
import { ownerOf } from "../../manage/context.ts";
import { readEndpoint } from "../../manage/endpoints.ts";
import { createWorkerKey, readWorkerKey, revokeWorkerKey } from "../../manage/worker-keys.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { contextOf } from "../kit/manage-context.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { loadPage } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";

const paramsSchema = endpointParams.extend({
  key: z.string().meta({ description: "Id of a key of this endpoint's workers" }),
});
const querySchema = z.strictObject(pageShape);
const shared = { plane: "v1", tag: "Worker keys", scopes: ["manage", "admin"] } as const;
const ENDPOINT = "/v1/endpoints/:endpoint";
const PATH = `${ENDPOINT}/worker-keys`;

export const WORKER_KEY_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    method: "GET",
    path: PATH,
    id: "listWorkerKeys",
    summary: "List the keys of an endpoint's workers",
    description: "Newest first, revoked ones included.",
    kind: "reads",
    params: endpointParams,
    query: querySchema,
    answers: {
      200: {
        description: "A page of keys",
        schema: z.object({ workerKeys: z.array(workerKeySchema), pagination: paginationSchema }),
      },
    },
    handle: list,
  }),
  operation({
    ...shared,
    method: "POST",
    path: PATH,
    id: "createWorkerKey",
    summary: "Create a key for an endpoint's workers",
    description: "The key is in this answer alone. It carries the price of what its workers do.",
    kind: "creates",
    params: endpointParams,
    body: createWorkerKeySchema,
    answers: { 201: { description: "The new key", schema: createdWorkerKeySchema } },
    handle: create,
  }),
  operation({
    ...shared,
    method: "GET",
    path: `${PATH}/:key`,
    id: "getWorkerKey",
    summary: "Read a key of an endpoint's workers",
    description: "Everything but the key itself.",
    kind: "reads",
    params: paramsSchema,
    answers: { 200: { description: "The key", schema: workerKeySchema } },
    handle: read,
  }),
  operation({
    ...shared,
    method: "DELETE",
    path: `${PATH}/:key`,
    id: "revokeWorkerKey",
    summary: "Revoke a key of an endpoint's workers",
    description: "Its workers get no more jobs, and what they report is not taken.",
    kind: "changes",
    params: paramsSchema,
    answers: { 200: { description: "The revoked key", schema: revokedWorkerKeySchema } },
    handle: revoke,
  }),
  operation({
    ...shared,
    method: "POST",
    path: `${ENDPOINT}/worker-env`,
    id: "createWorkerEnvironment",
    summary: "Create the environment of a worker",
    description:
      "Makes a key, and gives the environment with which an unmodified RunPod worker image fetches jobs here.",
    kind: "creates",
    params: endpointParams,
    body: createWorkerEnvSchema,
    answers: { 201: { description: "The key and the environment", schema: workerEnvSchema } },
    handle: createEnv,
  }),
];

type Params = z.infer<typeof paramsSchema>;

async function list(call: OperationCall<EndpointParams, z.infer<typeof querySchema>, unknown>): Promise<Result<Reply>> {
  const endpoint = await readEndpoint(call, ownerOf(call.caller), call.params.endpoint);
  if (!endpoint.ok) return endpoint;
  const found = await loadPage(call.query, (page) => listWorkerKeys(call.env.DB, endpoint.value.id, page));
  if (!found.ok) return found;
  const { rows, pagination } = found.value;
  return ok({ status: 200, body: { workerKeys: rows.map(show), pagination } });
}

async function create(call: OperationCall<EndpointParams, unknown, CreateWorkerKey>): Promise<Result<Reply>> {
  const made = await createWorkerKey(contextOf(call), call.params.endpoint, call.body);
  if (!made.ok) return made;
  const { id, endpointId, replayed, key, applied } = made.value;
  const found = await readWorkerKey(call, endpointId, id);
  if (!found.ok) return found;
  const body = { ...show(found.value), ...(replayed ? {} : { key }), applied };
  return ok({ status: 201, body, version: found.value.version });
}

async function read(call: OperationCall<Params, unknown, unknown>): Promise<Result<Reply>> {
  const found = await readWorkerKey(call, call.params.endpoint, call.params.key);
  return found.ok ? ok({ status: 200, body: show(found.value), version: found.value.version }) : found;
}

async function revoke(call: OperationCall<Params, unknown, unknown>): Promise<Result<Reply>> {
  const revoked = await revokeWorkerKey(contextOf(call), call.params.endpoint, call.params.key);
  if (!revoked.ok) return revoked;
  const { workerKey, applied } = revoked.value;
  return ok({ status: 200, body: { ...show(workerKey), applied }, version: workerKey.version });
}

async function createEnv(call: OperationCall<EndpointParams, unknown, CreateWorkerEnv>): Promise<Result<Reply>> {
  const { gpu, base: asked, ...wanted } = call.body;
  const { publicUrl, reach } = readConfig(call.env);
  const base = checkBase(asked ?? publicUrl ?? new URL(call.c.req.url).origin, reach.allowPrivate);
  if (!base.ok) return fail({ kind: "invalid", field: "base", message: base.problem });
  const made = await createWorkerKey(contextOf(call), call.params.endpoint, wanted);
  if (!made.ok) return made;
  const { id, endpointId, replayed, key, applied } = made.value;
  const found = await readWorkerKey(call, endpointId, id);
  if (!found.ok) return found;
  const body = { workerKey: show(found.value), applied };
  const place = { base: base.base, endpointId, key, gpu: gpu ?? wanted.tier };
  const environment = {
    variables: Object.fromEntries(workerVariables(place)),
    forms: { docker: inForm("docker", place), sh: inForm("sh", place), fields: inForm("fields", place) },
  };
  return ok({ status: 201, body: replayed ? body : { ...body, ...environment }, version: found.value.version });
}

function show({ tenantId: _, createdAtMs, expiresAtMs, revokedAtMs, ...key }: ManagedWorkerKey): ShownWorkerKey {
  return {
    ...key,
    expiresAt: toTimeText(expiresAtMs),
    revokedAt: toTimeText(revokedAtMs),
    createdAt: toTimeText(createdAtMs),
  };
}
