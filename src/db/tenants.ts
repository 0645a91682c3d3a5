// Tenants: who pays, and how many of their jobs may wait.
import { TENANT_WAITING_DEFAULT_MAX } from "../core/limits.ts";
import { insertInto, type Statement, statement } from "./statement.ts";

export interface NewTenant {
  readonly id: string;
  readonly name: string;
  /** Waiting jobs that the tenant may have in an endpoint; TENANT_WAITING_DEFAULT_MAX when it is left out. */
  readonly waitingMax?: number | undefined;
  /** The secret that signs the tenant's webhooks, sealed at WEBHOOK_SECRET_PLACE. */
  readonly sealedWebhookSecret: string;
  readonly createdAtMs: number;
}

export function insertTenant(tenant: NewTenant): Statement {
  return insertInto("tenants", {
    id: tenant.id,
    name: tenant.name,
    waiting_max: tenant.waitingMax ?? TENANT_WAITING_DEFAULT_MAX,
    sealed_webhook_secret: tenant.sealedWebhookSecret,
    created_at: tenant.createdAtMs,
  });
}

/** One row with the tenant's id; or none. */
export function selectTenant(tenantId: string): Statement {
  return statement("SELECT id FROM tenants WHERE id = ?", tenantId);
}

export function updateWaitingMax(tenantId: string, waitingMax: number): Statement {
  return statement("UPDATE tenants SET waiting_max = ? WHERE id = ?", waitingMax, tenantId);
}

/** All tenants without their secrets, oldest first. */
export const SELECT_TENANTS = statement("SELECT id, name, waiting_max FROM tenants ORDER BY created_at");
