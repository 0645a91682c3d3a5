// Adds, changes and removes the upstreams of an endpoint, and asks one whether it answers.
import { readConfig } from "../config.ts";
import type { Upstream } from "../contract/settings.ts";
import { addressProblem, secretsInAddress } from "../core/access/address-secrets.ts";
import type { Reach } from "../core/access/reach.ts";
import { credentialPlace } from "../core/access/sealing.ts";
import { SecretForms } from "../core/access/secret-forms.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { SECRET_MIN_CHARS } from "../core/limits.ts";
import { fieldChanges, HIDDEN } from "../core/manage/changes.ts";
import { givenOf } from "../core/manage/given.ts";
import { askD1 } from "../db/ask-d1.ts";
import { expectVersion } from "../db/expectations.ts";
import type { Statement } from "../db/statement.ts";
import {
  deleteUpstream,
  findUpstream,
  insertUpstream,
  type ManagedUpstream,
  type UpstreamSettings,
  updateUpstream,
} from "../db/upstreams.ts";
import { type TestedUpstream, testUpstream } from "../dispatch/test-upstream.ts";
import { open, seal } from "../outbound/credentials.ts";
import { checkUrl } from "../outbound/guard.ts";
import { changeRow, createOnce, type Made, removeRow } from "./commit.ts";
import { audited, type ManageContext, operates, ownerOf } from "./context.ts";
import { readEndpoint, refuseGone } from "./endpoints.ts";
import { pushSettings } from "./push.ts";
import { checkRoom } from "./settings-room.ts";
import { checkTier } from "./tiers.ts";

/** An upstream after a change. `applied`: its endpoint's broker has the change already. */
export interface ChangedUpstream {
  readonly upstream: ManagedUpstream;
  readonly applied: boolean;
  readonly warning: string | null;
}

type Context = Pick<ManageContext, "env" | "caller">;

/** An upstream of an endpoint that the caller may see. */
export async function readUpstream(context: Context, idOrSlug: string, id: string): Promise<Result<ManagedUpstream>> {
  const endpoint = await readEndpoint(context, ownerOf(context.caller), idOrSlug);
  if (!endpoint.ok) return endpoint;
  const found = await askD1(() => findUpstream(context.env.DB, endpoint.value.id, id));
  if (!found.ok) return found;
  return found.value === null ? fail({ kind: "not_found", what: "upstream" }) : ok(found.value);
}

/** An upstream that is asked for; its credential is in the clear. `requestUrl`: of the call, whose host is the deployment's own. */
export interface WantedUpstream extends Omit<Upstream, "id">, Pick<ManagedUpstream, "name" | "enabled"> {
  readonly requestUrl: string;
}

/** Adds an upstream, once for each Idempotency-Key. */
export async function createUpstream(
  context: ManageContext,
  idOrSlug: string,
  { requestUrl, ...wanted }: WantedUpstream,
): Promise<Result<Made & Omit<ChangedUpstream, "upstream">>> {
  const { env, caller, nowMs } = context;
  const endpoint = await readEndpoint(context, ownerOf(caller), idOrSlug);
  if (!endpoint.ok) return endpoint;
  const { encryptionKey, reach } = readConfig(env);
  const address = checkAddress(wanted.url, wanted.credential, { ...reach, requestUrl });
  if (!address.ok) return address;
  const tier = await checkTier(env, wanted.tier);
  if (!tier.ok) return tier;
  const room = await checkRoom(env, endpoint.value.id);
  if (!room.ok) return room;
  const id = `up-${crypto.randomUUID()}`;
  const { id: endpointId, tenantId } = endpoint.value;
  const credential =
    wanted.credential === null ? null : await seal(wanted.credential, encryptionKey, credentialPlace(id));
  const upstream = { ...wanted, id, credential, pricedByOperator: operates(caller) };
  const { dialect, local } = wanted;
  const changes = fieldChanges({}, { endpointId, dialect, local, ...auditedFields(upstream) });
  const statements = [
    insertUpstream(endpointId, upstream, nowMs),
    audited(context, { tenantId, action: "upstream.create", objectId: id, changes }),
  ];
  const made = await createOnce(context, id, statements, refuseGone);
  if (!made.ok) return made;
  const applied = await pushSettings(env, endpointId);
  return ok({ ...made.value, applied, warning: warningOf(wanted.credential) });
}

/** A change of an upstream: members that are left out stay; a credential of null removes it. */
export type UpstreamPatch = {
  readonly [Name in Exclude<keyof UpstreamSettings, "pricedByOperator">]?: UpstreamSettings[Name] | undefined;
} & { readonly requestUrl: string };

/** Changes an upstream; jobs that run there go on. */
export async function changeUpstream(
  context: ManageContext,
  idOrSlug: string,
  id: string,
  patch: UpstreamPatch,
): Promise<Result<ChangedUpstream>> {
  const changed = await changeRow(
    context,
    () => readUpstream(context, idOrSlug, id),
    (now) => planChange(context, now, patch),
    refuseGone,
  );
  if (!changed.ok) return changed;
  const upstream = changed.value.row;
  const applied = await pushSettings(context.env, upstream.endpointId);
  return ok({ upstream, applied, warning: warningOf(patch.credential ?? null) });
}

async function planChange(
  context: ManageContext,
  now: ManagedUpstream,
  { requestUrl, credential, ...settings }: UpstreamPatch,
): Promise<Result<readonly Statement[] | null>> {
  const { env } = context;
  const { encryptionKey, reach } = readConfig(env);
  const { id, endpointId } = now;
  const place = credentialPlace(id);
  const next = { ...now, ...givenOf(settings) };
  const old = await openPresent(now, encryptionKey);
  const plain = credential === undefined ? old : credential;
  if (next.url !== now.url || plain !== old) {
    // An address that an older release took may hold a credential, and goes on to work as long as it stays.
    const isNew = next.url !== now.url;
    const secret = plain ?? null;
    const address = isNew ? checkAddress(next.url, secret, { ...reach, requestUrl }) : checkSecret(next.url, secret);
    if (!address.ok) return address;
    if (old !== null && credential === undefined && originOf(next.url) !== originOf(now.url)) return GIVE_AGAIN;
  }
  const isPriced = next.tier !== now.tier || next.rateKind !== now.rateKind || next.slots !== now.slots;
  if (isPriced && now.pricedByOperator && !operates(context.caller)) return OPERATORS_PRICE;
  const price = isPriced && operates(context.caller) ? { pricedByOperator: true } : {};
  const tier = next.tier === now.tier ? ok(null) : await checkTier(env, next.tier);
  if (!tier.ok) return tier;
  const hidden = plain === old ? [] : [{ field: "credential", old: hide(old), new: hide(plain) }];
  const changes = [
    ...fieldChanges(auditedFields(now), auditedFields({ ...next, credential: now.credential })),
    ...hidden,
  ];
  if (changes.length === 0) return ok(null);
  const endpoint = await readEndpoint(context, ownerOf(context.caller), endpointId);
  if (!endpoint.ok) return endpoint;
  const isLonger = next.url.length > now.url.length || (plain !== old && plain !== null);
  const room = isLonger ? await checkRoom(env, endpointId) : ok(null);
  if (!room.ok) return room;
  const sealed = async () => (plain === null || plain === undefined ? null : seal(plain, encryptionKey, place));
  return ok([
    expectVersion("upstreams", id, now.version),
    updateUpstream(id, { ...givenOf(settings), ...price, ...(plain === old ? {} : { credential: await sealed() }) }),
    audited(context, { tenantId: endpoint.value.tenantId, action: "upstream.update", objectId: id, changes }),
  ]);
}

/**
 * The credential that is stored; undefined: there is one that does not open, as after a change of ENCRYPTION_KEY. Such an upstream must
 * be one that can be switched off or given another credential.
 */
async function openPresent(
  { id, credential }: ManagedUpstream,
  encryptionKey: string,
): Promise<string | null | undefined> {
  return credential === null ? null : open(credential, encryptionKey, credentialPlace(id)).catch(() => undefined);
}

const OPERATORS_PRICE = fail({
  kind: "operators_price",
  because: "price",
  what: "upstream",
  fields: "tier, rateKind and slots",
});

/** Nobody can read a credential, so nobody may have it sent to a server of their own either. */
const GIVE_AGAIN = fail({
  kind: "invalid",
  field: "credential",
  message: "must be given again, or be null, where the url leads to another server: the present one is not sent there",
});

function originOf(url: string): string | null {
  return URL.parse(url)?.origin ?? null;
}

/** Removes an upstream. `applied`: its endpoint's broker gives it no more jobs already. */
export async function removeUpstream(
  context: ManageContext,
  idOrSlug: string,
  id: string,
): Promise<Result<{ readonly id: string; readonly applied: boolean }>> {
  const removed = await removeRow(
    context,
    () => readUpstream(context, idOrSlug, id),
    async (now) => {
      const endpoint = await readEndpoint(context, ownerOf(context.caller), now.endpointId);
      if (!endpoint.ok) return endpoint;
      const changes = fieldChanges({ endpointId: now.endpointId, ...auditedFields(now) }, {});
      return ok([
        expectVersion("upstreams", id, now.version),
        deleteUpstream(id),
        audited(context, { tenantId: endpoint.value.tenantId, action: "upstream.delete", objectId: id, changes }),
      ]);
    },
    refuseGone,
  );
  if (!removed.ok) return removed;
  return ok({ id, applied: await pushSettings(context.env, removed.value.endpointId) });
}

/** Calls an upstream once, with its credential, and states what came. It need not be enabled. */
export async function askUpstream(context: Context, idOrSlug: string, id: string): Promise<Result<TestedUpstream>> {
  const endpoint = await readEndpoint(context, ownerOf(context.caller), idOrSlug);
  if (!endpoint.ok) return endpoint;
  const found = await readUpstream(context, endpoint.value.id, id);
  if (!found.ok) return found;
  const { encryptionKey, reach } = readConfig(context.env);
  return ok(await testUpstream(found.value, endpoint.value.kind, encryptionKey, reach));
}

/** The address as it is shown: those of older releases may hold credentials. */
export function shownAddress(url: string): string {
  return new SecretForms(secretsInAddress(url)).blankText(url);
}

/** The guard of each send checks the address here, too: one that it refuses would only make every job wait. */
function checkAddress(url: string, credential: string | null, reach: Reach): Result<null> {
  const verdict = checkUrl(url, reach);
  return verdict.ok ? checkSecret(url, credential) : fail({ kind: "invalid", field: "url", message: verdict.message });
}

function checkSecret(url: string, credential: string | null): Result<null> {
  const problem = addressProblem(url, credential);
  if (problem === null) return ok(null);
  return fail({ kind: "invalid", field: "url", message: `${problem}: the field credential takes it, and seals it` });
}

function warningOf(credential: string | null): string | null {
  if (credential === null || credential.length >= SECRET_MIN_CHARS) return null;
  return `A credential of under ${SECRET_MIN_CHARS} characters is not looked for in what the upstream answers: clients may see it.`;
}

/** What the audit compares: of the credential only whether there is one. */
function auditedFields(upstream: Omit<UpstreamSettings, "credential"> & { readonly credential: string | null }) {
  const { name, url, slots, tier, rateKind, enabled, credential } = upstream;
  return { name, url: shownAddress(url), slots, tier, rateKind, enabled, hasCredential: credential !== null };
}

function hide(credential: string | null | undefined): string | null {
  return credential === null ? null : HIDDEN;
}
