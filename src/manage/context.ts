// A change of settings on its way: who makes it, in which request, and at which time.
import type { Caller } from "../contract/identity.ts";
import type { FieldChange } from "../core/manage/changes.ts";
import { insertAudit } from "../db/audit.ts";
import type { CreatingCall } from "../db/creations.ts";
import type { Owner } from "../db/managed-endpoints.ts";
import type { Statement } from "../db/statement.ts";

export interface ManageContext {
  readonly env: Env;
  readonly caller: Pick<Caller, "keyId" | "tenantId" | "scopes" | "endpointIds">;
  readonly requestId: string;
  /** Epoch ms. */
  readonly nowMs: number;
  /** The Idempotency-Key of a creating call; null: none. */
  readonly creation: CreatingCall | null;
  /** The version that the caller expects of what it changes; null: any. */
  readonly ifMatch: number | null;
}

/** Whose things a caller of /v1 may see: with the scope `admin` everybody's. RunPod's plane is about one's own alone. */
export function ownerOf({ scopes, tenantId }: ManageContext["caller"]): Owner {
  return scopes.includes("admin") ? null : tenantId;
}

/** May the caller set prices of the operator's machines? */
export function operates({ scopes }: ManageContext["caller"]): boolean {
  return scopes.includes("admin");
}

/** May the caller's key be used for this endpoint? A key may be for some endpoints only. */
export function opens({ endpointIds }: ManageContext["caller"], endpointId: string): boolean {
  return endpointIds === null || endpointIds.includes(endpointId);
}

/** The audit line of a change. `tenantId`: of the thing that is changed, which need not be the caller's. */
export function audited(
  { caller, requestId, nowMs }: ManageContext,
  change: {
    readonly tenantId: string;
    readonly action: string;
    readonly objectId: string;
    readonly changes: readonly FieldChange[];
  },
): Statement {
  return insertAudit({ ...change, atMs: nowMs, keyId: caller.keyId, requestId });
}
