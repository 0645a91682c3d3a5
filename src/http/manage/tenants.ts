// /v1/tenants: made and changed by the operator of the deployment; a tenant may read itself.
import * as z from "zod";
import { pageShape, paginationSchema } from "../../contract/manage/page.ts";
import {
  type CreateTenant,
  createdTenantSchema,
  createTenantSchema,
  type PatchTenant,
  patchTenantSchema,
  tenantSchema,
} from "../../contract/manage/tenant.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { listTenants, type Tenant } from "../../db/tenants.ts";
import { changeTenant, createTenant, readTenant } from "../../manage/tenants.ts";
import { contextOf } from "../kit/manage-context.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { loadPage } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";

const paramsSchema = z.object({ tenant: z.string().meta({ description: "Id of a tenant" }) });
const querySchema = z.strictObject(pageShape);
const shared = { plane: "v1", tag: "Tenants" } as const;
const PATH = "/v1/tenants";

export const TENANT_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    method: "GET",
    path: PATH,
    id: "listTenants",
    summary: "List tenants",
    description: "Newest first.",
    scopes: ["admin"],
    kind: "reads",
    query: querySchema,
    answers: {
      200: {
        description: "A page of tenants",
        schema: z.object({ tenants: z.array(tenantSchema), pagination: paginationSchema }),
      },
    },
    handle: list,
  }),
  operation({
    ...shared,
    method: "POST",
    path: PATH,
    id: "createTenant",
    summary: "Create a tenant",
    description: "The secret that signs its webhooks is in this answer alone. Make a key for it next.",
    scopes: ["admin"],
    kind: "creates",
    body: createTenantSchema,
    answers: { 201: { description: "The new tenant", schema: createdTenantSchema } },
    handle: create,
  }),
  operation({
    ...shared,
    method: "GET",
    path: `${PATH}/:tenant`,
    id: "getTenant",
    summary: "Read a tenant",
    description: "One's own with the scope manage, any with the scope admin.",
    scopes: ["manage", "admin"],
    kind: "reads",
    params: paramsSchema,
    answers: { 200: { description: "The tenant", schema: tenantSchema } },
    handle: read,
  }),
  operation({
    ...shared,
    method: "PATCH",
    path: `${PATH}/:tenant`,
    id: "updateTenant",
    summary: "Change a tenant",
    description:
      "A field that is left out stays. New limits hold everywhere within 30 s; a new runningMax in each endpoint from the tenant's next submit or status on.",
    scopes: ["admin"],
    kind: "changes",
    params: paramsSchema,
    body: patchTenantSchema,
    answers: { 200: { description: "The tenant as it is now", schema: tenantSchema } },
    handle: change,
  }),
];

type Params = z.infer<typeof paramsSchema>;

async function list({
  env,
  caller,
  query,
}: OperationCall<unknown, z.infer<typeof querySchema>, unknown>): Promise<Result<Reply>> {
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const found = await loadPage(query, (page) => listTenants(env.DB, page));
  if (!found.ok) return found;
  const { rows, pagination } = found.value;
  return ok({ status: 200, body: { tenants: rows.map(show), pagination } });
}

async function create(call: OperationCall<unknown, unknown, CreateTenant>): Promise<Result<Reply>> {
  const made = await createTenant(contextOf(call), call.body);
  if (!made.ok) return made;
  const { id, replayed, webhookSecret } = made.value;
  const found = await readTenant(call, id);
  if (!found.ok) return found;
  const body = { ...show(found.value), ...(replayed ? {} : { webhookSecret }) };
  return ok({ status: 201, body, version: found.value.version });
}

async function read(call: OperationCall<Params, unknown, unknown>): Promise<Result<Reply>> {
  return reply(await readTenant(call, call.params.tenant));
}

async function change(call: OperationCall<Params, unknown, PatchTenant>): Promise<Result<Reply>> {
  return reply(await changeTenant(contextOf(call), call.params.tenant, call.body));
}

function reply(found: Result<Tenant>): Result<Reply> {
  return found.ok ? ok({ status: 200, body: show(found.value), version: found.value.version }) : found;
}

function show({ createdAtMs, ...tenant }: Tenant) {
  return { ...tenant, createdAt: toTimeText(createdAtMs) };
}
