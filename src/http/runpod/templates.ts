// /v2/templates: presets of what workers are started with, of the caller's own tenant, and /v2/catalog/templates: the public ones of all.
import * as z from "zod";
import { paginationSchema, runPodPageShape } from "../../contract/manage/page.ts";
import {
  type CreateTemplate,
  createTemplateSchema,
  type ManagedTemplate,
  type PatchTemplate,
  patchTemplateSchema,
  type ShownTemplate,
  templateSchema,
} from "../../contract/manage/template.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { PUBLIC_TEMPLATES_MAX } from "../../core/manage/limits.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { listPublicTemplates, listTemplates } from "../../db/templates.ts";
import type { ManageContext } from "../../manage/context.ts";
import {
  changeTemplate,
  createTemplate,
  openTemplateEnv,
  readTemplate,
  removeTemplate,
} from "../../manage/templates.ts";
import { contextOf } from "../kit/manage-context.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { loadPage, paginationOf } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";

const paramsSchema = z.object({ template: z.string().meta({ description: "Id of a template" }) });
const querySchema = z.strictObject(runPodPageShape);
const publicQuerySchema = z.strictObject({
  source: z.enum(["official", "verified", "community"]).default("official").meta({
    description: "Taken for RunPod's clients: there is one catalogue here, whatever is asked for",
  }),
});

const READERS = ["jobs", "manage"] as const;
const WRITERS = ["manage"] as const;
const shared = { plane: "v2", tag: "Templates" } as const;
const PATH = "/v2/templates";
const ONE = { params: paramsSchema, path: `${PATH}/:template` } as const;
const LIST = z.object({ templates: z.array(templateSchema), pagination: paginationSchema });

export const TEMPLATE_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    method: "GET",
    path: PATH,
    id: "listTemplates",
    summary: "List templates",
    description:
      "The templates of the key's tenant, newest first. Environments are shown to keys with the scope manage.",
    scopes: READERS,
    kind: "reads",
    query: querySchema,
    answers: { 200: { description: "The templates", schema: LIST } },
    handle: list,
  }),
  operation({
    ...shared,
    method: "POST",
    path: PATH,
    id: "createTemplate",
    summary: "Create a template",
    description:
      "Its fields are copied to an endpoint that is given its id as `templateId`. The environment is sealed.",
    scopes: WRITERS,
    kind: "creates",
    body: createTemplateSchema,
    answers: { 201: { description: "The new template", schema: templateSchema } },
    handle: create,
  }),
  operation({
    ...shared,
    ...ONE,
    method: "GET",
    id: "getTemplate",
    summary: "Read a template",
    description: "One of the key's tenant, or a public one.",
    scopes: READERS,
    kind: "reads",
    answers: { 200: { description: "The template", schema: templateSchema } },
    handle: read,
  }),
  operation({
    ...shared,
    ...ONE,
    method: "PATCH",
    id: "updateTemplate",
    summary: "Change a template",
    description: "A field that is left out stays. Endpoints that have the template already stay as they are.",
    scopes: WRITERS,
    kind: "changes",
    body: patchTemplateSchema,
    answers: { 200: { description: "The template as it is now", schema: templateSchema } },
    handle: change,
  }),
  operation({
    ...shared,
    ...ONE,
    method: "DELETE",
    id: "deleteTemplate",
    summary: "Delete a template",
    description:
      "400 where an endpoint of the tenant was given it last: give that endpoint another one first. A repeated call is answered as the first.",
    scopes: WRITERS,
    kind: "changes",
    answers: { 204: { description: "It is gone", schema: null } },
    handle: remove,
  }),
  operation({
    plane: "v2",
    tag: "Catalog",
    method: "GET",
    path: "/v2/catalog/templates",
    id: "listPublicTemplates",
    summary: "List public templates",
    description: `The newest ${PUBLIC_TEMPLATES_MAX} templates that tenants have made public.`,
    scopes: READERS,
    kind: "reads",
    query: publicQuerySchema,
    answers: { 200: { description: "The templates", schema: LIST } },
    handle: listPublic,
  }),
];

type Params = z.infer<typeof paramsSchema>;

async function list({ env, caller, query }: OperationCall<unknown, z.infer<typeof querySchema>, unknown>) {
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const found = await loadPage(query, (page) => listTemplates(env.DB, caller.tenantId, page));
  if (!found.ok) return found;
  const { rows, pagination } = found.value;
  return ok({ status: 200, body: { templates: await showAll(env, caller, rows), pagination } } as const);
}

async function listPublic({ env, caller }: OperationCall<unknown, unknown, unknown>) {
  const found = await askD1(() => listPublicTemplates(env.DB, PUBLIC_TEMPLATES_MAX));
  if (!found.ok) return found;
  const body = { templates: await showAll(env, caller, found.value), pagination: paginationOf(null) };
  return ok({ status: 200, body } as const);
}

async function create(call: OperationCall<unknown, unknown, CreateTemplate>): Promise<Result<Reply>> {
  const made = await createTemplate(contextOf(call), call.body);
  if (!made.ok) return made;
  const found = await readTemplate(call.env, call.caller.tenantId, made.value.id);
  return found.ok ? answer(call, 201, found.value) : found;
}

async function read(call: OperationCall<Params, unknown, unknown>): Promise<Result<Reply>> {
  if (call.caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const found = await readTemplate(call.env, call.caller.tenantId, call.params.template);
  return found.ok ? answer(call, 200, found.value) : found;
}

async function change(call: OperationCall<Params, unknown, PatchTemplate>): Promise<Result<Reply>> {
  const changed = await changeTemplate(contextOf(call), call.params.template, call.body);
  return changed.ok ? answer(call, 200, changed.value) : changed;
}

async function remove(call: OperationCall<Params, unknown, unknown>): Promise<Result<Reply>> {
  const removed = await removeTemplate(contextOf(call), call.params.template);
  return removed.ok ? ok({ status: 204 }) : removed;
}

type Asker = Pick<ManageContext, "env" | "caller">;

async function answer({ env, caller }: Asker, status: 200 | 201, template: ManagedTemplate): Promise<Result<Reply>> {
  return ok({ status, body: await show(env, caller, template), version: template.version });
}

async function showAll(env: Env, caller: Asker["caller"], templates: readonly ManagedTemplate[]) {
  return Promise.all(templates.map((template) => show(env, caller, template)));
}

async function show(
  env: Env,
  { scopes, tenantId }: Asker["caller"],
  template: ManagedTemplate,
): Promise<ShownTemplate> {
  const { id, name, settings } = template;
  // The id of a registry credential means nothing to another tenant.
  const registry = template.tenantId === tenantId ? settings.registry : null;
  const shown = { id, name, ...settings, registry };
  return scopes.includes("manage") ? { ...shown, env: await openTemplateEnv(env, template) } : shown;
}
