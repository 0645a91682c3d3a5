// Adds, changes and removes the providers of a tenant's machines. What endpoints have of them goes out to their brokers.
import { readConfig } from "../config.ts";
import type { Offer } from "../contract/fleet.ts";
import { addressProblem } from "../core/access/address-secrets.ts";
import { providerPlace } from "../core/access/sealing.ts";
import { makeWebhookSecret, WEBHOOK_SECRET_BYTES } from "../core/access/webhook-secret.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { fieldChanges, HIDDEN } from "../core/manage/changes.ts";
import { givenOf } from "../core/manage/given.ts";
import { PROVIDER_KEPT_MS, PROVIDERS_MAX } from "../core/manage/limits.ts";
import { type ProviderFacts, providerProblem, signsCalls } from "../core/manage/provider-rules.ts";
import { askD1 } from "../db/ask-d1.ts";
import { expectVersion, isWithoutOwner } from "../db/expectations.ts";
import {
  countProviders,
  deleteProvider,
  expectNoUser,
  findManagedProvider,
  insertProvider,
  listUsers,
  type ManagedProvider,
  type ProviderSettings,
  type ProviderUser,
  updateProvider,
} from "../db/providers.ts";
import type { Statement } from "../db/statement.ts";
import { pushBehindOf } from "../dispatch/push-behind.ts";
import { log } from "../log.ts";
import { seal } from "../outbound/credentials.ts";
import { checkUrl } from "../outbound/guard.ts";
import { changeRow, createOnce, findMade, type Made, removeRow } from "./commit.ts";
import { audited, type ManageContext, operates, ownerOf } from "./context.ts";
import { checkPresets, ENDPOINTS_NAMED_MAX } from "./fleet-providers.ts";
import { checkTiers } from "./tiers.ts";

type Context = Pick<ManageContext, "env" | "caller">;

/** A provider that the caller may see. They are a tenant's as a whole, and so of no key that is for some endpoints only. */
export async function readProvider({ env, caller }: Context, id: string): Promise<Result<ManagedProvider>> {
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const found = await askD1(() => findManagedProvider(env.DB, ownerOf(caller), id));
  if (!found.ok) return found;
  return found.value === null ? fail({ kind: "not_found", what: "provider" }) : ok(found.value);
}

/** A provider that is asked for; its credential is in the clear. `requestUrl`: of the call, whose host is the deployment's own. */
export interface WantedProvider
  extends Pick<ManagedProvider, "tenantId" | "name" | "kind" | "url" | "offers" | "isDefault"> {
  readonly credential: string | undefined;
  readonly requestUrl: string;
}

/** `applied`: the brokers of all endpoints that use it have what it offers. `secret`: it was made now, for this answer alone. */
export interface MadeProvider extends Made {
  readonly applied: boolean;
  readonly secret: string | null;
}

/** Adds a provider, once for each Idempotency-Key. */
export async function createProvider(
  context: ManageContext,
  { requestUrl, credential: given, ...wanted }: WantedProvider,
): Promise<Result<MadeProvider>> {
  const { env, caller, nowMs } = context;
  const { tenantId, kind } = wanted;
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const secret = given === undefined && signsCalls(kind) ? drawSecret() : null;
  const rules = checkRules({ ...wanted, credential: given, hasCredential: secret !== null });
  if (!rules.ok) return rules;
  const address = checkAddress(env, { url: wanted.url, credential: given }, requestUrl);
  if (!address.ok) return address;
  const offers = await checkOffers(env, wanted.offers);
  if (!offers.ok) return offers;
  const id = `prv-${crypto.randomUUID()}`;
  const room = await checkRoom(context, { ...wanted, id });
  if (!room.ok) return room;
  const plain = given ?? secret;
  const sealedCredential = plain === null ? null : await seal(plain, readConfig(env).encryptionKey, providerPlace(id));
  const provider = { ...wanted, id, sealedCredential, pricedByOperator: operates(caller), createdAtMs: nowMs };
  const changes = fieldChanges({}, { kind, ...auditedFields(provider) });
  const statements = [
    ...room.value,
    insertProvider(provider),
    audited(context, { tenantId, action: "provider.create", objectId: id, changes }),
  ];
  const made = await createOnce(context, id, statements, refuseTenant);
  if (!made.ok) return made;
  return ok({ ...made.value, applied: await pushUsers(env, tenantId), secret: made.value.replayed ? null : secret });
}

function drawSecret(): string {
  return makeWebhookSecret(crypto.getRandomValues(new Uint8Array(WEBHOOK_SECRET_BYTES)));
}

/**
 * Is there room for one more, and may the tenant's endpoints have it? Calls at once may go beyond the bound by one each. A repeated call
 * adds none. Returns what the batch of the creation has to expect.
 */
async function checkRoom(
  context: ManageContext,
  provider: Pick<ManagedProvider, "id" | "tenantId" | "isDefault">,
): Promise<Result<readonly Statement[]>> {
  const { env, caller } = context;
  const earlier = await findMade(context);
  if (!earlier.ok) return earlier;
  const count = await askD1(() => countProviders(env.DB, provider.tenantId));
  if (!count.ok) return count;
  if (earlier.value !== null) return ok([]);
  if (count.value < PROVIDERS_MAX) return operates(caller) ? checkPresets(context, provider) : ok([]);
  const message = `this tenant has ${PROVIDERS_MAX} providers, and no more have room in the settings of its endpoints: delete those that are not used any more`;
  return fail({ kind: "conflict", message });
}

/** A change of a provider: members that are left out stay. `url`: another one than it has is refused. */
export type ProviderPatch = {
  readonly [Name in "name" | "offers" | "isDefault"]?: ProviderSettings[Name] | undefined;
} & { readonly url?: string | null | undefined; readonly credential?: string | undefined; readonly requestUrl: string };

/** Changes a provider; machines that are there go on. */
export async function changeProvider(
  context: ManageContext,
  id: string,
  patch: ProviderPatch,
): Promise<Result<{ readonly provider: ManagedProvider; readonly applied: boolean }>> {
  const changed = await changeRow(
    context,
    () => readProvider(context, id),
    (now) => planChange(context, now, patch),
  );
  if (!changed.ok) return changed;
  const provider = changed.value.row;
  return ok({ provider, applied: await pushUsers(context.env, provider.tenantId) });
}

async function planChange(
  context: ManageContext,
  now: ManagedProvider,
  { requestUrl, url = now.url, credential, ...patch }: ProviderPatch,
): Promise<Result<readonly Statement[] | null>> {
  const { env, caller } = context;
  const { id, tenantId } = now;
  if (url !== now.url) return URL_IS_FOR_GOOD;
  const given = givenOf(patch);
  const next = { ...now, ...given };
  const rules = checkRules({ ...next, credential, hasCredential: now.sealedCredential !== null });
  if (!rules.ok) return rules;
  // An address that was taken once goes on to work: it is judged again only beside a new credential, which it must not hold.
  const address = credential === undefined ? rules : checkAddress(env, { url, credential }, requestUrl);
  if (!address.ok) return address;
  const isPriced = JSON.stringify(next.offers) !== JSON.stringify(now.offers);
  // Slots that a tenant has set would divide the price of machines that become its default ones.
  const isSpread = next.isDefault && !now.isDefault;
  const isOperatorsAlone = now.pricedByOperator && !operates(caller);
  if ((isPriced || isSpread) && isOperatorsAlone) return OPERATORS_PRICE;
  // With a key of another account nobody would find the machines that are there: the operator would pay for them on and on.
  if (credential !== undefined && isOperatorsAlone) return OPERATORS_ACCOUNT;
  const offers = isPriced ? await checkOffers(env, next.offers) : rules;
  if (!offers.ok) return offers;
  const isOperators = now.pricedByOperator || (isPriced && operates(caller));
  const isNew = isOperators && (!now.pricedByOperator || isSpread);
  const unset = isNew ? await checkPresets(context, next) : ok([]);
  if (!unset.ok) return unset;
  const hidden = credential === undefined ? [] : [{ field: "credential", old: HIDDEN, new: HIDDEN }];
  const changes = [...fieldChanges(auditedFields(now), auditedFields(next)), ...hidden];
  if (changes.length === 0) return ok(null);
  const sealed =
    credential === undefined
      ? {}
      : { sealedCredential: await seal(credential, readConfig(env).encryptionKey, providerPlace(id)) };
  const price = isPriced && operates(caller) ? { pricedByOperator: true } : {};
  return ok([
    expectVersion("providers", id, now.version),
    ...unset.value,
    updateProvider(id, { ...given, ...sealed, ...price }),
    audited(context, { tenantId, action: "provider.update", objectId: id, changes }),
  ]);
}

/** Whether machines are left at its address cannot be told here: endpoints may have let go of it a moment ago, and end theirs only now. */
const URL_IS_FOR_GOOD = fail({
  kind: "conflict",
  field: "url",
  message:
    "the url of a provider is for good, as machines that are still there would not be found at another one: add a new provider with it, and give that to the endpoints in place of this one",
});

const OPERATORS_PRICE = fail({
  kind: "operators_price",
  because: "price",
  what: "provider",
  fields: "offers, and default where it becomes true,",
});

const OPERATORS_ACCOUNT = fail({
  kind: "operators_price",
  because: "account",
  what: "provider's machines",
  fields: "credential",
});

/** Removes a provider that no endpoint uses. Its machines that are still there are ended by the brokers that had them of it. */
export async function removeProvider(context: ManageContext, id: string): Promise<Result<{ readonly id: string }>> {
  const removed = await removeRow(
    context,
    () => readProvider(context, id),
    async (now) => {
      const users = await askD1(() => listUsers(context.env.DB, now, ENDPOINTS_NAMED_MAX + 1));
      if (!users.ok) return users;
      if (users.value.length > 0) return fail({ kind: "conflict", message: usedBy(users.value) });
      const { tenantId, name } = now;
      const changes = [{ field: "name", old: name, new: null }];
      return ok([
        expectVersion("providers", id, now.version),
        expectNoUser(now),
        ...deleteProvider(id, context.nowMs, context.nowMs - PROVIDER_KEPT_MS),
        audited(context, { tenantId, action: "provider.delete", objectId: id, changes }),
      ]);
    },
  );
  return removed.ok ? ok({ id }) : removed;
}

function usedBy(users: readonly ProviderUser[]): string {
  const named = users.slice(0, ENDPOINTS_NAMED_MAX);
  const sentence = (names: number, what: string) => {
    const slugs = named.filter((user) => user.names === names).map(({ slug }) => slug);
    return slugs.length === 0 ? [] : [`these endpoints ${what}: ${slugs.join(", ")}`];
  };
  return [
    ...sentence(1, "name it among their providers, from where it has to be taken first"),
    ...sentence(0, "may have machines of it as a default one, until it is changed to default: false"),
    ...(users.length > named.length ? ["and there are more"] : []),
  ].join("; ");
}

function checkRules(provider: ProviderFacts): Result<null> {
  const problem = providerProblem(provider);
  return problem === null ? ok(null) : fail({ kind: "invalid", ...problem });
}

/** The guard of each call checks the address, too: one that it refuses would only let every machine fail. */
function checkAddress(
  env: Env,
  { url, credential = null }: { readonly url: string | null; readonly credential: string | null | undefined },
  requestUrl: string,
): Result<null> {
  if (url === null) return ok(null);
  const verdict = checkUrl(url, { ...readConfig(env).reach, requestUrl });
  if (!verdict.ok) return fail({ kind: "invalid", field: "url", message: verdict.message });
  const problem = addressProblem(url, credential);
  if (problem === null) return ok(null);
  return fail({ kind: "invalid", field: "url", message: `${problem}: the field credential takes it, and seals it` });
}

function checkOffers(env: Env, offers: readonly Offer[]): Promise<Result<null>> {
  const named = offers.flatMap(({ tier }, at) => (tier === undefined ? [] : [{ tier, field: `offers.${at}.tier` }]));
  return checkTiers(env, named);
}

/** True: every broker of the tenant has its settings. False: some get theirs within 5 min. */
async function pushUsers(env: Env, tenantId: string): Promise<boolean> {
  try {
    return await pushBehindOf(env, tenantId);
  } catch (error) {
    log("push_failed", { tenant: tenantId, error: String(error) });
    return false;
  }
}

function refuseTenant(error: unknown): Result<never> {
  if (isWithoutOwner(error)) return fail({ kind: "not_found", what: "tenant" });
  throw error;
}

/** What the audit compares: of the credential only whether there is one. */
function auditedFields(
  provider: Pick<ManagedProvider, "name" | "url" | "offers" | "isDefault" | "sealedCredential">,
): Record<string, unknown> {
  const { name, url, offers, isDefault, sealedCredential } = provider;
  const shown = offers.map(({ gpuTypeId, priceNanodollarsPerHour, tier }: Offer) => {
    return { gpuTypeId, priceNanodollarsPerHour, tier };
  });
  return { name, url, offers: shown, default: isDefault, hasCredential: sealedCredential !== null };
}
