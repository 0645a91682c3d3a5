// Providers of machines, as they are stored. Triggers raise the versions of the endpoints whose settings change with one; its own is
// raised here. A deleted one is found by its id alone, by whoever has machines of it to end.
import { type StoredProvider, storedProviderSchema } from "../contract/fleet.ts";
import { OPERATORS_DISK_MAX_GB } from "../core/manage/limits.ts";
import { expectThat } from "./expectations.ts";
import type { Owner } from "./managed-endpoints.ts";
import { BEFORE_NEWEST, type Page } from "./page.ts";
import { assignments, bound, type Database, insertInto, type Statement, statement } from "./statement.ts";

/** A provider as it is managed. */
export interface ManagedProvider extends StoredProvider {
  /** Its offers are an operator's, not the tenant's own. */
  readonly pricedByOperator: boolean;
}

const COLUMNS = `id, tenant_id AS tenantId, name, kind, url, sealed_credential AS sealedCredential, offers, is_default AS isDefault,
  priced_by_operator AS pricedByOperator, version, created_at AS createdAtMs`;

interface Row {
  readonly offers: string;
  readonly isDefault: number;
  readonly pricedByOperator: number;
}

function toManaged(row: Row): ManagedProvider {
  const stored = { ...row, offers: JSON.parse(row.offers), isDefault: row.isDefault === 1 };
  return { ...storedProviderSchema.parse(stored), pricedByOperator: row.pricedByOperator === 1 };
}

/** The provider of an id, also a deleted one: its machines have to be ended. Null: there is none, or no machine of it can live. */
export async function findProvider(db: Database, providerId: string): Promise<ManagedProvider | null> {
  const row = await bound(db, statement(`SELECT ${COLUMNS} FROM providers WHERE id = ?`, providerId)).first<Row>();
  return row === null ? null : toManaged(row);
}

/** The provider of an id, of this owner's. Null: there is none, or it is deleted. */
export async function findManagedProvider(db: Database, owner: Owner, id: string): Promise<ManagedProvider | null> {
  const sql = `SELECT ${COLUMNS} FROM providers WHERE id = ?1 AND (?2 IS NULL OR tenant_id = ?2) AND deleted_at IS NULL`;
  const row = await bound(db, statement(sql, id, owner)).first<Row>();
  return row === null ? null : toManaged(row);
}

/** A page of the owner's providers, newest first. */
export async function listProviders(db: Database, owner: Owner, { after, limit }: Page): Promise<ManagedProvider[]> {
  const { createdAtMs, id } = after ?? BEFORE_NEWEST;
  // One statement each, so that an index gives the page in its order.
  const whose = owner === null ? "" : "tenant_id = ?4 AND";
  const sql = `SELECT ${COLUMNS} FROM providers WHERE ${whose} (created_at, id) < (?1, ?2) AND deleted_at IS NULL
    ORDER BY created_at DESC, id DESC LIMIT ?3`;
  const asked = statement(sql, createdAtMs, id, limit, ...(owner === null ? [] : [owner]));
  return (await bound(db, asked).all<Row>()).results.map(toManaged);
}

/** How many providers the tenant has. */
export async function countProviders(db: Database, tenantId: string): Promise<number> {
  const sql = "SELECT count(*) AS found FROM providers WHERE tenant_id = ? AND deleted_at IS NULL";
  return (await bound(db, statement(sql, tenantId)).first<number>("found")) ?? 0;
}

/** What of a provider can be changed. */
export type ProviderSettings = Pick<
  ManagedProvider,
  "name" | "sealedCredential" | "offers" | "isDefault" | "pricedByOperator"
>;

function toColumns(settings: Partial<ProviderSettings>) {
  const { name, sealedCredential, offers, isDefault, pricedByOperator } = settings;
  return {
    name,
    sealed_credential: sealedCredential,
    offers: offers === undefined ? undefined : JSON.stringify(offers),
    is_default: isDefault === undefined ? undefined : Number(isDefault),
    priced_by_operator: pricedByOperator === undefined ? undefined : Number(pricedByOperator),
  };
}

/** Adds a provider. Its credential is sealed at `providerPlace(id)`. */
export function insertProvider(provider: Omit<ManagedProvider, "version">): Statement {
  const { id, tenantId, name, kind, url, sealedCredential, offers, isDefault, pricedByOperator, createdAtMs } =
    provider;
  return insertInto("providers", {
    id,
    tenant_id: tenantId,
    name,
    kind,
    url,
    sealed_credential: sealedCredential,
    offers: JSON.stringify(offers),
    is_default: Number(isDefault),
    priced_by_operator: Number(pricedByOperator),
    version: 1,
    created_at: createdAtMs,
    deleted_at: null,
  });
}

/** Gives a provider the settings that are given, at least one. */
export function updateProvider(id: string, settings: Partial<ProviderSettings>): Statement {
  const { set, values } = assignments(toColumns(settings));
  return statement(`UPDATE providers SET ${set}, version = version + 1 WHERE id = ?`, ...values, id);
}

/** Deletes a provider, and forgets those that were deleted before a time: no machine of theirs can live any more. */
export function deleteProvider(id: string, atMs: number, forgetBeforeMs: number): readonly Statement[] {
  return [
    statement("UPDATE providers SET deleted_at = ?, is_default = 0, version = version + 1 WHERE id = ?", atMs, id),
    statement("DELETE FROM providers WHERE deleted_at < ?", forgetBeforeMs),
  ];
}

/** SQL: the endpoint names the provider `?1`, or has an image and goes by the default ones, of which that is one. */
const NAMES_IT = "EXISTS (SELECT 1 FROM json_each(endpoints.fleet, '$.providers') WHERE value = ?1)";
const HAS_IT_BY_DEFAULT = `fleet ->> 'image' IS NOT NULL AND fleet ->> 'providers' IS NULL
  AND (SELECT is_default FROM providers WHERE id = ?1) = 1`;
const ITS_USERS = `FROM endpoints WHERE tenant_id = ?2 AND deleted_at IS NULL AND (${NAMES_IT} OR (${HAS_IT_BY_DEFAULT}))`;

/** An endpoint that uses a provider. */
export interface ProviderUser {
  readonly slug: string;
  /** 1: by its name; 0: as a default one. */
  readonly names: number;
}

/** The first endpoints that use the provider, those that name it before the others. */
export async function listUsers(
  db: Database,
  { id, tenantId }: Pick<ManagedProvider, "id" | "tenantId">,
  limit: number,
): Promise<ProviderUser[]> {
  const sql = `SELECT slug, ${NAMES_IT} AS names ${ITS_USERS} ORDER BY names DESC, slug LIMIT ?3`;
  return (await bound(db, statement(sql, id, tenantId, limit)).all<ProviderUser>()).results;
}

/** Ends the batch if an endpoint uses the provider. */
export function expectNoUser({ id, tenantId }: Pick<ManagedProvider, "id" | "tenantId">): Statement {
  return expectThat("no_user", `NOT EXISTS (SELECT 1 ${ITS_USERS})`, id, tenantId);
}

/**
 * SQL: the endpoints of the tenant `?2` that name the provider `?1` or (where `?3` is 1) none, and have set what is an operator's alone to
 * set on its own machines: more than one slot or GPU, a registry, network volumes, or a large disk. Those without an image are among them:
 * they may get one at any time.
 */
const ITS_PRESETTERS = `FROM endpoints WHERE tenant_id = ?2 AND deleted_at IS NULL
  AND (${NAMES_IT} OR (?3 = 1 AND fleet ->> 'providers' IS NULL))
  AND (fleet ->> '$.workers.slots' > 1 OR fleet ->> '$.gpu.count' > 1 OR fleet ->> '$.registry' IS NOT NULL
    OR json_array_length(fleet, '$.networkVolumes') > 0 OR fleet ->> '$.disk' > ${OPERATORS_DISK_MAX_GB})`;

type GivenProvider = Pick<ManagedProvider, "id" | "tenantId" | "isDefault">;

/** The slugs of the first endpoints that have set such things and use the provider, or will as soon as they have an image. */
export async function listPresetters(
  db: Database,
  { id, tenantId, isDefault }: GivenProvider,
  limit: number,
): Promise<readonly string[]> {
  const asked = statement(
    `SELECT slug ${ITS_PRESETTERS} ORDER BY slug LIMIT ?4`,
    id,
    tenantId,
    Number(isDefault),
    limit,
  );
  return (await bound(db, asked).all<{ slug: string }>()).results.map(({ slug }) => slug);
}

/** Ends the batch if there is such an endpoint. */
export function expectNoPresetter({ id, tenantId, isDefault }: GivenProvider): Statement {
  return expectThat("no_presetter", `NOT EXISTS (SELECT 1 ${ITS_PRESETTERS})`, id, tenantId, Number(isDefault));
}

/** A provider that an endpoint may use. */
interface UsableProvider extends Pick<ManagedProvider, "id" | "kind"> {
  readonly pricedByOperator: number;
}

/** Providers of a tenant, with who has set their offers: those of these ids, or (null) its default ones. */
export async function listUsable(
  db: Database,
  tenantId: string,
  ids: readonly string[] | null,
): Promise<UsableProvider[]> {
  const sql = `SELECT id, kind, priced_by_operator AS pricedByOperator ${usableOf(ids)}`;
  const asked = statement(sql, tenantId, ids === null ? null : JSON.stringify(ids));
  return (await bound(db, asked).all<UsableProvider>()).results;
}

/** SQL: the providers of the tenant `?1` that have the ids of the JSON array `?2`, or where that is null the default ones. */
function usableOf(ids: readonly string[] | null): string {
  const which = ids === null ? "?2 IS NULL AND is_default = 1" : "id IN (SELECT value FROM json_each(?2))";
  return `FROM providers WHERE tenant_id = ?1 AND deleted_at IS NULL AND ${which}`;
}

/** Ends the batch if one of these providers of the tenant (null: its default ones) has offers of an operator's. */
export function expectTenantsPrice(tenantId: string, ids: readonly string[] | null): Statement {
  const condition = `NOT EXISTS (SELECT 1 ${usableOf(ids)} AND priced_by_operator = 1)`;
  return expectThat("tenants_price", condition, tenantId, ids === null ? null : JSON.stringify(ids));
}

/** Ends the batch unless all of these, each named once, are providers of the tenant. */
export function expectProviders(tenantId: string, ids: readonly string[]): Statement {
  const condition = `(SELECT count(*) FROM providers WHERE tenant_id = ?1 AND deleted_at IS NULL
    AND id IN (SELECT value FROM json_each(?2))) = ?3`;
  return expectThat("providers", condition, tenantId, JSON.stringify(ids), ids.length);
}
