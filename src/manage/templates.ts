// Creates, changes and removes templates, for RunPod's plane and for the GraphQL calls alike.
import { readConfig } from "../config.ts";
import type { WorkerEnv } from "../contract/manage/fleet.ts";
import type { CreateTemplate, ManagedTemplate, PatchTemplate, TemplateSettings } from "../contract/manage/template.ts";
import { templateEnvPlace } from "../core/access/sealing.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { fieldChanges, hiddenChanges } from "../core/manage/changes.ts";
import { givenOf } from "../core/manage/given.ts";
import { askD1 } from "../db/ask-d1.ts";
import { wasDone } from "../db/audit.ts";
import { expectVersion } from "../db/expectations.ts";
import type { Statement } from "../db/statement.ts";
import {
  deleteTemplate,
  expectUnused,
  findEndpointOf,
  findTemplate,
  insertTemplate,
  updateTemplate,
} from "../db/templates.ts";
import { openEnv, sealEnv } from "../outbound/sealed-env.ts";
import { changeRow, createOnce, type Made, removeRow } from "./commit.ts";
import { audited, type ManageContext } from "./context.ts";

/** A template that a tenant may read: its own, or a public one of any tenant. */
export async function readTemplate(env: Env, tenantId: string, id: string): Promise<Result<ManagedTemplate>> {
  const found = await askD1(() => findTemplate(env.DB, tenantId, id));
  if (!found.ok) return found;
  return found.value === null ? fail({ kind: "not_found", what: "template" }) : ok(found.value);
}

/** The environment that a template gives to workers. */
export async function openTemplateEnv(env: Env, { id, sealedEnv }: ManagedTemplate): Promise<WorkerEnv> {
  return openEnv(sealedEnv, readConfig(env).encryptionKey, templateEnvPlace(id));
}

/** A template with its environment, to be given to an endpoint of the tenant; null: none is asked for. */
export async function takeTemplate(
  { env, caller }: Pick<ManageContext, "env" | "caller">,
  tenantId: string,
  id: string | undefined,
): Promise<Result<{ readonly settings: TemplateSettings; readonly env: WorkerEnv } | null>> {
  if (id === undefined) return ok(null);
  // What a template holds belongs to the whole tenant, and whoever applies one can read its environment from the endpoint.
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const found = await readTemplate(env, tenantId, id);
  if (!found.ok) return found;
  const { settings } = found.value;
  if (!settings.serverless) return fail(OF_PODS);
  // The id of a registry credential means nothing to another tenant.
  const registry = found.value.tenantId === tenantId ? settings.registry : null;
  return ok({ settings: { ...settings, registry }, env: await openTemplateEnv(env, found.value) });
}

const OF_PODS = {
  kind: "not_conforming",
  wrong: [
    {
      source: "body",
      path: ["templateId"],
      message: "is a template of pods: an endpoint takes one that has serverless: true",
    },
  ],
} as const;

/** Creates a template of the caller's tenant, once for each Idempotency-Key. */
export async function createTemplate(context: ManageContext, wanted: CreateTemplate): Promise<Result<Made>> {
  const { env, caller, nowMs } = context;
  const { tenantId } = caller;
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const id = `tpl-${crypto.randomUUID()}`;
  const { name, env: workerEnv = {}, args = "", ports = [], registry = null, ...rest } = wanted;
  const settings = { ...rest, args, ports, registry };
  const sealedEnv = await seal(env, id, workerEnv);
  const changes = [...fieldChanges({}, { name, ...settings }), ...hiddenChanges("env", {}, workerEnv)];
  const statements = [
    insertTemplate({ id, tenantId, name, settings, sealedEnv, createdAtMs: nowMs }),
    audited(context, { tenantId, action: "template.create", objectId: id, changes }),
  ];
  return createOnce(context, id, statements);
}

/** Changes a template of the caller's tenant; endpoints that have it already stay as they are. */
export async function changeTemplate(
  context: ManageContext,
  id: string,
  patch: PatchTemplate,
): Promise<Result<ManagedTemplate>> {
  const changed = await changeRow(
    context,
    () => readOwn(context, id),
    (now) => planChange(context, now, patch),
  );
  return changed.ok ? ok(changed.value.row) : changed;
}

async function planChange(
  context: ManageContext,
  now: ManagedTemplate,
  { name = now.name, env: workerEnv, mounts, ...rest }: PatchTemplate,
): Promise<Result<readonly Statement[] | null>> {
  const { id, tenantId, version } = now;
  const oldEnv = workerEnv === undefined ? {} : await openTemplateEnv(context.env, now);
  // An empty object of mounts leaves the mount as it is (RunPod's OpenAPI document, TemplateMounts).
  const newMounts = mounts?.persistent === undefined ? now.settings.mounts : mounts;
  const given = givenOf(rest);
  const settings: TemplateSettings = { ...now.settings, ...given, mounts: newMounts };
  const changes = [
    ...fieldChanges({ name: now.name, ...now.settings }, { name, ...settings }),
    ...hiddenChanges("env", oldEnv, workerEnv ?? oldEnv),
  ];
  if (changes.length === 0) return ok(null);
  const sealedEnv = workerEnv === undefined ? now.sealedEnv : await seal(context.env, id, workerEnv);
  return ok([
    expectVersion("templates", id, version),
    updateTemplate(id, { name, settings, sealedEnv }),
    audited(context, { tenantId, action: "template.update", objectId: id, changes }),
  ]);
}

/**
 * Removes a template of the caller's tenant, unless one of its endpoints has it. A call that is repeated because its answer was lost
 * finds that it was done.
 */
export async function removeTemplate(context: ManageContext, id: string): Promise<Result<null>> {
  const { env, caller } = context;
  const read = () => readOwn(context, id);
  const removed = await removeRow(context, read, (now) => planRemoval(context, now));
  if (removed.ok) return ok(null);
  if (removed.failure.kind !== "not_found") return removed;
  const earlier = await askD1(() => wasDone(env.DB, caller.tenantId, DELETION, id));
  if (!earlier.ok) return earlier;
  return earlier.value ? ok(null) : removed;
}

const DELETION = "template.delete";

async function planRemoval(
  context: ManageContext,
  { id, tenantId, name, version }: ManagedTemplate,
): Promise<Result<readonly Statement[]>> {
  const user = await askD1(() => findEndpointOf(context.env.DB, tenantId, id));
  if (!user.ok) return user;
  if (user.value !== null) {
    const message = `the endpoint ${user.value} has this template: give it another one first`;
    return fail({ kind: "wrong_state", message });
  }
  return ok([
    expectVersion("templates", id, version),
    expectUnused(tenantId, id),
    deleteTemplate(id),
    audited(context, {
      tenantId,
      action: DELETION,
      objectId: id,
      changes: [{ field: "name", old: name, new: null }],
    }),
  ]);
}

/** A public template of another tenant can be read, and is no template to any change. */
async function readOwn({ env, caller }: ManageContext, id: string): Promise<Result<ManagedTemplate>> {
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const found = await readTemplate(env, caller.tenantId, id);
  if (!found.ok || found.value.tenantId === caller.tenantId) return found;
  return fail({ kind: "not_found", what: "template" });
}

async function seal(env: Env, id: string, workerEnv: WorkerEnv): Promise<string | null> {
  return sealEnv(workerEnv, readConfig(env).encryptionKey, templateEnvPlace(id));
}
