// How long an endpoint's jobs wait and run and its machines start, for its owner.
import type { CallOf } from "../../contract/broker.ts";
import type { Timing } from "../../core/fleet/timings.ts";
import type { BrokerState } from "../state.ts";

/** Null: the endpoint is another tenant's. Without settings no job has ever come. */
export function readTiming({ endpoint, kept }: BrokerState, { tenantId }: CallOf<"readTiming">): Timing | null {
  const isForeign = endpoint.settings !== null && endpoint.settings.tenantId !== tenantId;
  return isForeign ? null : kept.timings.look();
}
