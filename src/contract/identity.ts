// The caller that a key stands for: its tenant, and what the key allows.

import * as z from "zod";

/** The scopes of a stored key. */
export const scopesSchema = z.array(z.enum(["jobs", "worker", "manage", "admin"]));
export type Scope = z.infer<typeof scopesSchema>[number];

export interface Caller {
  readonly keyId: string;
  readonly tenantId: string;
  /** The only endpoints that the key opens; null: all of its tenant's and all shared ones. */
  readonly endpointIds: readonly string[] | null;
  readonly scopes: readonly Scope[];
  /** The number of waiting jobs that the tenant may have in each endpoint. */
  readonly waitingMax: number;
  /** The tenant's webhook signing secret (`whsec_…`), sealed. */
  readonly sealedWebhookSecret: string;
}
