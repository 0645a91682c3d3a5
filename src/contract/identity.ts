// Who calls: what a key stands for.

export type Scope = "jobs" | "worker" | "manage" | "admin";

export interface Caller {
  readonly tenantId: string;
  readonly scopes: readonly Scope[];
  /** Waiting jobs allowed in each endpoint. */
  readonly waitingMax: number;
  /** The tenant's webhook signing secret (`whsec_…`), sealed. */
  readonly sealedWebhookSecret: string;
}
