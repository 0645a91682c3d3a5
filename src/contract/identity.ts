// The caller that a key stands for: its tenant, and what the key allows.

export type Scope = "jobs" | "worker" | "manage" | "admin";

export interface Caller {
  readonly tenantId: string;
  readonly scopes: readonly Scope[];
  /** The number of waiting jobs that the tenant may have in each endpoint. */
  readonly waitingMax: number;
  /** The tenant's webhook signing secret (`whsec_…`), sealed. */
  readonly sealedWebhookSecret: string;
}
