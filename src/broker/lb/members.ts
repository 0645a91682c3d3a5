// Who may get requests of a load-balanced endpoint: the upstreams of its settings, and the machines of its fleet that have an address.
import type { Upstream } from "../../contract/settings.ts";
import type { Instance } from "../../core/fleet/instance.ts";
import type { BrokerState } from "../state.ts";

type Parts = Pick<BrokerState, "endpoint" | "machines">;

/** Those of the settings come first. One that drains or ends is none any more: it gets no new request. */
export function membersOf({ endpoint, machines }: Parts): readonly Upstream[] {
  const { settings } = endpoint;
  if (settings === null) return [];
  const slots = settings.fleet?.slots ?? 1;
  return [...settings.upstreams, ...[...machines.all()].flatMap((instance) => toMember(instance, slots) ?? [])];
}

/** Null: it has no address yet, or gets no requests. Its worker is asked by /ping from its first address on. */
function toMember({ id, phase, url, candidate, rateKind }: Instance, slots: number): Upstream | null {
  const isThere = phase === "creating" || phase === "starting" || phase === "ready";
  if (!isThere || url === null || candidate === null) return null;
  const { tier } = candidate;
  return { id, url, dialect: "http", local: false, slots, tier, rateKind, credential: null };
}
