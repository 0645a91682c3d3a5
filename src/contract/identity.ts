// The caller that a key stands for: its tenant, and what the key allows.

import * as z from "zod";
import { CALLS_SET_MAX, type ChangedLimits, OPERATIONS } from "../core/access/limits.ts";
import type { TenantBound } from "./broker.ts";
import type { SubmittingToken } from "./browser-token.ts";

/** The scopes of a stored key. */
export const scopesSchema = z.array(z.enum(["jobs", "worker", "manage", "admin"]));
export type Scope = z.infer<typeof scopesSchema>[number];

const operationLimitSchema = z.strictObject({
  calls: z.int().min(1).max(CALLS_SET_MAX).meta({ description: "Calls in 10 s, counted in each isolate apart" }),
  open: z
    .int()
    .min(1)
    .max(CALLS_SET_MAX)
    .nullable()
    .meta({ description: "Calls that are open at once, counted so, too; null: no bound" }),
});

/** As D1 has them, and as the management API shows and takes them. */
export const changedLimitsSchema = z
  .partialRecord(z.enum(OPERATIONS), operationLimitSchema)
  .meta({ id: "OperationLimits" });

export interface Caller {
  readonly keyId: string;
  readonly tenantId: string;
  /** The only endpoints that the key opens; null: all of its tenant's and all shared ones. */
  readonly endpointIds: readonly string[] | null;
  readonly scopes: readonly Scope[];
  /** The number of waiting jobs that the tenant may have in each endpoint. */
  readonly waitingMax: number;
  /** How many jobs the tenant may run at once in each endpoint. */
  readonly bound: TenantBound;
  /** The operations whose limits an operator has changed for the tenant; null: none. */
  readonly limits: ChangedLimits | null;
  /** The tenant's webhook signing secret (`whsec_…`), sealed. */
  readonly sealedWebhookSecret: string;
  /** The token for browsers that the caller has presented in place of the key that made it. It has no scope. */
  readonly token?: SubmittingToken;
}
