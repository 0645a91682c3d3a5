// Creates and changes endpoints: for RunPod's plane, for ours, and for the GraphQL calls alike.
import { readConfig } from "../config.ts";
import { envSchema, type Fleet, fleetSchema, type WorkerEnv } from "../contract/manage/fleet.ts";
import type { EndpointSetting, ManagedEndpoint } from "../contract/manage/managed-endpoint.ts";
import { ENDPOINT_ID_BYTES, makeEndpointId } from "../core/access/endpoint-name.ts";
import { envPlace } from "../core/access/sealing.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import {
  ATTEMPTS_DEFAULT_MAX,
  LB_BODY_DEFAULT_MAX_BYTES,
  RUN_RETENTION_DEFAULT_MS,
  RUNSYNC_RETENTION_DEFAULT_MS,
  TTL_DEFAULT_MS,
} from "../core/limits.ts";
import { type FieldChange, fieldChanges, hiddenChanges } from "../core/manage/changes.ts";
import { type EndpointFacts, endpointProblem } from "../core/manage/endpoint-rules.ts";
import { initTimeoutOfEnv } from "../core/manage/fleet-settings.ts";
import { givenOf } from "../core/manage/given.ts";
import { INFERENCE } from "../core/openai/routes.ts";
import { shorten } from "../core/schema/path.ts";
import { askD1 } from "../db/ask-d1.ts";
import { expectVersion, isWithoutOwner } from "../db/expectations.ts";
import { findManaged, insertManaged, type Owner, takenBy, updateManaged } from "../db/managed-endpoints.ts";
import { insertRelease } from "../db/releases.ts";
import type { Statement } from "../db/statement.ts";
import { openEnv, sealEnv } from "../outbound/sealed-env.ts";
import { changeRow, createOnce, type Made } from "./commit.ts";
import { audited, type ManageContext, opens } from "./context.ts";
import { checkFleet } from "./fleet-providers.ts";
import { pushSettings } from "./push.ts";
import { overTemplate, patchFleet, type RequestedFleet } from "./requested-fleet.ts";
import { takeTemplate } from "./templates.ts";

type OtherSettings = Omit<EndpointSetting, "fleet" | "sealedEnv" | "release" | "templateId">;

/** What a request has beside settings of our own: fields of workers, and a template that gives what is not among them. */
interface Requested {
  readonly fields: RequestedFleet;
  readonly templateId?: string | undefined;
}

/** The settings of a new endpoint. What is left out has the default of core/limits.ts. */
export interface WantedEndpoint extends OtherSettings, Requested {
  readonly tenantId: string;
  readonly name: string;
  readonly kind: ManagedEndpoint["kind"];
  readonly executionTimeoutMs: number;
  readonly workerEnv: WorkerEnv;
  /** RunPod's plane wants a GPU or a CPU. */
  readonly needsHardware: boolean;
}

/**
 * A change of an endpoint: settings that are left out stay; `workerEnv`, together with the template's environment, replaces the
 * whole environment.
 */
export interface EndpointPatch extends OtherSettings, Requested {
  readonly workerEnv?: WorkerEnv | undefined;
}

/** An endpoint after a change. `applied`: its broker has the settings already, else it will within 5 min. */
export interface ChangedEndpoint {
  readonly endpoint: ManagedEndpoint;
  readonly applied: boolean;
}

/** The endpoint of an id or slug, of this owner's, if the caller's key opens it. */
export async function readEndpoint(
  { env, caller }: Pick<ManageContext, "env" | "caller">,
  owner: Owner,
  idOrSlug: string,
): Promise<Result<ManagedEndpoint>> {
  const found = await askD1(() => findManaged(env.DB, owner, idOrSlug));
  if (!found.ok) return found;
  const endpoint = found.value;
  return endpoint !== null && opens(caller, endpoint.id) ? ok(endpoint) : fail({ kind: "not_found", what: "endpoint" });
}

/** An endpoint was deleted between its look-up and the batch that adds to it: its tenant is then null, or its id refers to nothing. */
export function refuseGone(error: unknown): Result<never> {
  if (isWithoutOwner(error)) return fail({ kind: "not_found", what: "endpoint" });
  throw error;
}

/** Creates an endpoint, once for each Idempotency-Key. Its broker gets the settings with its first call. */
export async function createEndpoint(context: ManageContext, wanted: WantedEndpoint): Promise<Result<Made>> {
  const { env, caller, nowMs } = context;
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const id = makeEndpointId(crypto.getRandomValues(new Uint8Array(ENDPOINT_ID_BYTES)));
  const { tenantId, needsHardware, fields, templateId, workerEnv: namedEnv, ...settings } = wanted;
  const template = await takeTemplate(context, tenantId, templateId);
  if (!template.ok) return template;
  const unset = fleetSchema.parse({});
  const asked = patchFleet(unset, overTemplate(template.value?.settings ?? null, fields, null));
  const merged = mergeEnv(template.value?.env, namedEnv);
  if (!merged.ok) return merged;
  const workerEnv = merged.value;
  const fleet = { ...asked, initTimeoutOfEnv: initTimeoutOfEnv(workerEnv) };
  const expected = await checkFleet(context, tenantId, unset, fleet, workerEnv);
  if (!expected.ok) return expected;
  const own = { fleet, templateId: templateId ?? null };
  const sealedEnv = await sealEnv(workerEnv, readConfig(env).encryptionKey, envPlace(id));
  const endpoint = {
    ...DEFAULTS,
    ...settings,
    ...own,
    id,
    tenantId,
    sealedEnv,
    slug: wanted.slug ?? id,
    createdAtMs: nowMs,
  };
  const problem = problemOf(endpoint, needsHardware);
  if (problem !== null) return problem;
  const changes = [...briefly(fieldChanges({}, auditedFields(endpoint))), ...hiddenChanges("env", {}, workerEnv)];
  const audit = audited(context, { tenantId, action: "endpoint.create", objectId: id, changes });
  // Of four million endpoints one has the drawn number already once in a thousand times.
  for (let draws = 0; ; draws += 1) {
    const number = 1 + ((crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % 0xffff_ffff);
    const statements = [...expected.value, insertManaged({ ...endpoint, number }), firstRelease(context, id), audit];
    const made = await createOnce(context, id, statements, (error) => refuseTaken(error, endpoint.slug));
    if (made.ok || made.failure.kind !== "conflict" || made.failure.field !== "number" || draws === DRAWS_MAX)
      return made;
  }
}

const DRAWS_MAX = 5;

const DEFAULTS = {
  release: 1,
  paused: false,
  maxAttempts: ATTEMPTS_DEFAULT_MAX,
  ttlMs: TTL_DEFAULT_MS,
  runRetentionMs: RUN_RETENTION_DEFAULT_MS,
  runsyncRetentionMs: RUNSYNC_RETENTION_DEFAULT_MS,
  bodyMaxBytes: LB_BODY_DEFAULT_MAX_BYTES,
  shared: false,
  openaiRoutes: INFERENCE,
  tenantSharePercent: null,
  allowedOrigins: [],
  inputSchema: null,
};

/** Changes an endpoint. What workers are started with makes a release; all else acts at once. */
export async function changeEndpoint(
  context: ManageContext,
  owner: Owner,
  idOrSlug: string,
  patch: EndpointPatch,
): Promise<Result<ChangedEndpoint>> {
  const { env } = context;
  const changed = await changeRow(
    context,
    () => readEndpoint(context, owner, idOrSlug),
    (now) => planChange(context, now, patch),
    (error) => refuseTaken(error, patch.slug ?? ""),
  );
  if (!changed.ok) return changed;
  const endpoint = changed.value.row;
  return ok({ endpoint, applied: await pushSettings(env, endpoint.id) });
}

async function planChange(
  context: ManageContext,
  now: ManagedEndpoint,
  { fields, templateId, workerEnv: namedEnv, ...others }: EndpointPatch,
): Promise<Result<readonly Statement[] | null>> {
  const template = await takeTemplate(context, now.tenantId, templateId);
  if (!template.ok) return template;
  const { encryptionKey } = readConfig(context.env);
  const place = envPlace(now.id);
  const asked = overTemplate(template.value?.settings ?? null, fields, now.fleet.gpu);
  const merged = template.value === null ? ok(namedEnv) : mergeEnv(template.value.env, namedEnv);
  if (!merged.ok) return merged;
  const workerEnv = merged.value;
  const ofEnv = workerEnv === undefined ? {} : { initTimeoutOfEnv: initTimeoutOfEnv(workerEnv) };
  const fleet = { ...patchFleet(now.fleet, asked), ...ofEnv };
  const settings = templateId === undefined ? others : { ...others, templateId };
  const openOldEnv = () => openEnv(now.sealedEnv, encryptionKey, place);
  const oldEnv = workerEnv === undefined ? {} : await openOldEnv();
  const envChanges = hiddenChanges("env", oldEnv, workerEnv ?? oldEnv);
  const next = { ...now, ...givenOf(settings), fleet };
  const problem = problemOf(next, false);
  if (problem !== null) return problem;
  const changes = [...briefly(fieldChanges(auditedFields(now), auditedFields(next))), ...envChanges];
  if (changes.length === 0) return ok(null);
  const expected = await checkFleet(context, now.tenantId, now.fleet, fleet, workerEnv ?? openOldEnv);
  if (!expected.ok) return expected;
  const diff = [...fieldChanges(startedWith(now.fleet), startedWith(fleet)), ...envChanges];
  const isRelease = diff.length > 0;
  const sealedEnv = envChanges.length === 0 ? {} : { sealedEnv: await sealEnv(workerEnv ?? {}, encryptionKey, place) };
  const release = isRelease ? { release: now.release + 1 } : {};
  const { id, tenantId } = now;
  return ok([
    expectVersion("endpoints", id, now.version),
    ...expected.value,
    updateManaged(id, { ...settings, fleet, ...sealedEnv, ...release }),
    ...(isRelease ? [releaseOf(context, id, now.release + 1, diff)] : []),
    audited(context, { tenantId, action: "endpoint.update", objectId: id, changes }),
  ]);
}

/** The variables of a template with those of the request over them. Each was checked, and both together may be too many. */
function mergeEnv(ofTemplate: WorkerEnv = {}, named: WorkerEnv = {}): Result<WorkerEnv> {
  const merged = envSchema.safeParse({ ...ofTemplate, ...named });
  if (merged.success) return ok(merged.data);
  const [issue] = merged.error.issues;
  return fail({ kind: "invalid", field: "env", message: `with the template's variables it ${issue?.message}` });
}

function firstRelease(context: ManageContext, endpointId: string): Statement {
  return releaseOf(context, endpointId, 1, []);
}

function releaseOf(
  { caller, nowMs }: ManageContext,
  endpointId: string,
  number: number,
  diff: readonly FieldChange[],
): Statement {
  const id = `rel-${crypto.randomUUID()}`;
  return insertRelease({ endpointId, number, id, createdAtMs: nowMs, keyId: caller.keyId, diff });
}

/** The fields that a worker is started with: a change of one is a release. */
function startedWith({ image, args, disk, ports, registry, gpu, cpu }: Fleet): Record<string, unknown> {
  return { image, args, disk, ports, registry, gpu, cpu };
}

/** What the audit compares. The environment is compared apart, by its names. */
function auditedFields(endpoint: Audited): Record<string, unknown> {
  const { slug, name, kind, paused, maxAttempts, executionTimeoutMs, ttlMs, runRetentionMs, runsyncRetentionMs } =
    endpoint;
  const { bodyMaxBytes, shared, openaiRoutes, tenantSharePercent, allowedOrigins, templateId, inputSchema, fleet } =
    endpoint;
  const jobs = { maxAttempts, executionTimeoutMs, ttlMs, runRetentionMs, runsyncRetentionMs, bodyMaxBytes };
  const others = { shared, openaiRoutes, tenantSharePercent, allowedOrigins, templateId, inputSchema };
  // Of the environment the audit has the names alone.
  const { initTimeoutOfEnv: _, ...ofFleet } = fleet;
  return { slug, name, kind, paused, ...jobs, ...others, ...ofFleet };
}

/** The audit shows the beginning of a schema: its lines are read in lists. */
function briefly(changes: readonly FieldChange[]): FieldChange[] {
  const short = (value: unknown): unknown => (typeof value === "string" ? shorten(value) : value);
  return changes.map((change) =>
    change.field === "inputSchema" ? { ...change, old: short(change.old), new: short(change.new) } : change,
  );
}

type Audited = Omit<
  ManagedEndpoint,
  "id" | "tenantId" | "version" | "number" | "release" | "createdAtMs" | "sealedEnv"
>;

/** The failure of the first rule that the settings break; null: they break none. */
function problemOf(endpoint: EndpointFacts, needsHardware: boolean): Result<never> | null {
  const problem = endpointProblem(endpoint, needsHardware);
  return problem === null ? null : fail({ kind: "invalid", ...problem });
}

function refuseTaken(error: unknown, slug: string): Result<never> {
  const taken = takenBy(error);
  if (taken === "slug") return fail({ kind: "conflict", field: "slug", message: `the slug ${slug} is in use` });
  if (taken === "number") return fail({ kind: "conflict", field: "number", message: "the number is in use" });
  if (isWithoutOwner(error)) return fail({ kind: "not_found", what: "tenant" });
  throw error;
}
