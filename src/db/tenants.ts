// Tenants: who pays, and what limits they have.

import type { ChangedLimits } from "../core/access/limits.ts";
import { TENANT_WAITING_DEFAULT_MAX } from "../core/limits.ts";
import { parseLimits } from "./keys.ts";
import type { Owner } from "./managed-endpoints.ts";
import { BEFORE_NEWEST, type Page } from "./page.ts";
import { bound, type Database, insertInto, type Statement, statement } from "./statement.ts";

export interface NewTenant {
  readonly id: string;
  readonly name: string;
  /** Waiting jobs that the tenant may have in an endpoint; TENANT_WAITING_DEFAULT_MAX when it is left out. */
  readonly waitingMax?: number | undefined;
  /** Jobs that the tenant may run at once in an endpoint; no bound when it is left out. */
  readonly runningMax?: number | null | undefined;
  /** Limits of calls other than the default ones. */
  readonly limits?: ChangedLimits | null | undefined;
  /** The secret that signs the tenant's webhooks, sealed at WEBHOOK_SECRET_PLACE. */
  readonly sealedWebhookSecret: string;
  readonly createdAtMs: number;
}

export function insertTenant(tenant: NewTenant): Statement {
  return insertInto("tenants", {
    id: tenant.id,
    name: tenant.name,
    waiting_max: tenant.waitingMax ?? TENANT_WAITING_DEFAULT_MAX,
    running_max: tenant.runningMax ?? null,
    limits: limitsText(tenant.limits ?? null),
    sealed_webhook_secret: tenant.sealedWebhookSecret,
    created_at: tenant.createdAtMs,
  });
}

/** A tenant without its secret. */
export interface Tenant {
  readonly id: string;
  readonly name: string;
  readonly waitingMax: number;
  readonly runningMax: number | null;
  readonly limits: ChangedLimits | null;
  readonly version: number;
  readonly createdAtMs: number;
}

const COLUMNS =
  "id, name, waiting_max AS waitingMax, running_max AS runningMax, limits, version, created_at AS createdAtMs";

type TenantRow = Omit<Tenant, "limits"> & { readonly limits: string | null };

function toTenant(row: TenantRow): Tenant {
  return { ...row, limits: parseLimits(row.limits) };
}

/** An object without a member stands for none: the default limits. */
function limitsText(limits: ChangedLimits | null): string | null {
  return limits === null || Object.keys(limits).length === 0 ? null : JSON.stringify(limits);
}

/** The tenant of an id; null: there is none that this owner may see, which is itself alone. */
export async function findTenant(db: Database, owner: Owner, id: string): Promise<Tenant | null> {
  const sql = `SELECT ${COLUMNS} FROM tenants WHERE id = ?1 AND (?2 IS NULL OR id = ?2)`;
  const row = await bound(db, statement(sql, id, owner)).first<TenantRow>();
  return row === null ? null : toTenant(row);
}

/** A page of all tenants, newest first. */
export async function listTenants(db: Database, { after, limit }: Page): Promise<Tenant[]> {
  const { createdAtMs, id } = after ?? BEFORE_NEWEST;
  const sql = `SELECT ${COLUMNS} FROM tenants WHERE (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`;
  const { results } = await bound(db, statement(sql, createdAtMs, id, limit)).all<TenantRow>();
  return results.map(toTenant);
}

/** Writes all that can be changed of a tenant, and raises its version. */
export function updateTenant(
  id: string,
  { name, waitingMax, runningMax, limits }: Pick<Tenant, "name" | "waitingMax" | "runningMax" | "limits">,
): Statement {
  const sql =
    "UPDATE tenants SET name = ?, waiting_max = ?, running_max = ?, limits = ?, version = version + 1 WHERE id = ?";
  return statement(sql, name, waitingMax, runningMax, limitsText(limits), id);
}

/**
 * Gives a tenant a new secret for its webhooks; the one before it goes on to sign beside it until `formerUntilMs`. One
 * that is older still ends at once. Run again with the same sealed text, it changes nothing: the answer may have been
 * lost.
 */
export function rotateWebhookSecret(tenantId: string, sealedNew: string, formerUntilMs: number): Statement {
  return statement(
    `UPDATE tenants SET sealed_former_webhook_secret = sealed_webhook_secret, former_webhook_secret_until = ?3,
       sealed_webhook_secret = ?2, version = version + 1 WHERE id = ?1 AND sealed_webhook_secret <> ?2`,
    tenantId,
    sealedNew,
    formerUntilMs,
  );
}

/** The secrets of a tenant's webhooks, each sealed at WEBHOOK_SECRET_PLACE. */
export interface WebhookSecrets {
  readonly sealedSecret: string;
  /** The one before the last rotation; null: there was no rotation. */
  readonly sealedFormer: string | null;
  /** Until when the former one signs, too, epoch ms. */
  readonly formerUntilMs: number | null;
}

/** Null: no such tenant. */
export async function findWebhookSecrets(db: Database, tenantId: string): Promise<WebhookSecrets | null> {
  return db
    .prepare(
      `SELECT sealed_webhook_secret AS sealedSecret, sealed_former_webhook_secret AS sealedFormer,
         former_webhook_secret_until AS formerUntilMs FROM tenants WHERE id = ?`,
    )
    .bind(tenantId)
    .first<WebhookSecrets>();
}

/** Is there any tenant? A row, or none. */
export const SELECT_ANY_TENANT = statement("SELECT id FROM tenants LIMIT 1");
