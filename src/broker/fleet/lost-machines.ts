// Machines of a load-balanced endpoint that their provider has lost. Their workers call nobody, so that no silence tells of it: a ready
// machine that a list lacks is called at that moment, and is gone if it does not answer.
import { providerOf } from "../../core/fleet/fleet-state.ts";
import type { Instance } from "../../core/fleet/instance.ts";
import { LIST_LAG_MS } from "../../core/fleet/limits.ts";
import { instanceName, type ProviderAnswer } from "../../core/fleet/provider.ts";
import type { LbLife } from "../../core/lb/pool.ts";
import type { LbSlots } from "../lb/slots.ts";
import type { BrokerState } from "../state.ts";

interface Parts extends Pick<BrokerState, "machines" | "endpoint"> {
  readonly lb: LbSlots;
}

/** The ids of the machines that are lost, each with the time at which it was there for the last time that is known, epoch ms. */
export async function lostMachines(
  parts: Parts,
  providerId: string,
  answer: ProviderAnswer,
): Promise<ReadonlyMap<string, number>> {
  const { lb } = parts;
  const lost = new Map<string, number>();
  await Promise.all(
    unlisted(parts, providerId, answer).map(async (instance) => {
      const seenAtMs = lastSeenAtMs(parts, instance, lb.lifeOf(instance.id, Date.now()));
      if ((await lb.probe(instance.id)) === "unhealthy") lost.set(instance.id, seenAtMs);
    }),
  );
  return lost;
}

/** One that runs a request is left alone: a busy worker may not answer its /ping, and its requests end by themselves in minutes. */
function unlisted({ machines, endpoint, lb }: Parts, providerId: string, answer: ProviderAnswer): readonly Instance[] {
  const nowMs = Date.now();
  const { listing } = providerOf(machines.state, providerId);
  // Until the requests of an earlier start of the object are renewed it is not known which machines run some.
  if (answer.kind !== "listed" || listing === null || nowMs < lb.recalledAtMs) return [];
  const names = new Set(answer.instances.map(({ name }) => name));
  return [...machines.all()].filter((instance) => {
    const { id, phase, startedAtMs, readyAtMs } = instance;
    if (phase !== "ready" || instance.providerId !== providerId || names.has(instanceName(endpoint.id, id)))
      return false;
    const isNewer = listing.atMs >= (readyAtMs ?? startedAtMs) + LIST_LAG_MS;
    return isNewer && (lb.lifeOf(id, nowMs)?.running ?? 0) === 0;
  });
}

/** The list before showed it, or its worker has answered since. With its memory a broker has lost both, a moment before its start. */
function lastSeenAtMs({ machines, endpoint }: Parts, instance: Instance, life: LbLife | null): number {
  const { listedAtMs } = providerOf(machines.state, instance.providerId ?? "");
  const answeredAtMs = life?.health === "ready" ? life.confirmedAtMs : 0;
  return Math.max(listedAtMs, answeredAtMs, instance.readyAtMs ?? 0, endpoint.startedAtMs);
}
