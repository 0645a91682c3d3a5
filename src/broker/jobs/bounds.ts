// Takes how many jobs a tenant may run at once, as its calls tell: first into the row, then into the order of jobs.
import type { TenantBound } from "../../contract/broker.ts";
import type { BrokerState } from "../state.ts";

/** True: the bound has changed, so that waiting jobs of the tenant may be ready to start now. */
export function learnBound(
  { tenantId, bound }: { readonly tenantId: string; readonly bound?: TenantBound },
  { endpoint, tenantBounds, index }: Pick<BrokerState, "endpoint" | "tenantBounds" | "index">,
  nowMs: number,
): boolean {
  // The object of a deleted endpoint has been emptied, or is about to be, and must not be written again.
  if (endpoint.settings === null || endpoint.deletion !== null) return false;
  if (bound === undefined || !tenantBounds.learn(tenantId, bound)) return false;
  index.bound(tenantId, bound.runningMax, nowMs);
  return true;
}
