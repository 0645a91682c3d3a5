// Which kind of machine is asked for next: the cheapest one of those that may be had and may be paid.
import { busyUntilMs } from "./due.ts";
import { candidateKey, type FleetState, troubleOf } from "./fleet-state.ts";
import { type Candidate, costOf } from "./instance.ts";

interface ChoiceFacts {
  readonly nowMs: number;
  readonly candidates: readonly Candidate[];
  readonly ceilingNanodollarsPerHour: number | null;
}

/** Null: none may be asked for at this moment. */
export function chooseCandidate(state: FleetState, facts: ChoiceFacts): Candidate | null {
  for (const candidate of byPrice(facts.candidates)) {
    if (isBlocked(state, candidate, facts.nowMs)) continue;
    if (!isAffordable(state, candidate.priceNanodollarsPerHour, facts)) continue;
    const untilMs = busyUntilMs(state, candidate.providerId);
    if (untilMs === 0) return candidate;
    // A provider that is busy with our own calls is waited for, because the next one is dearer, but not for long.
    if (untilMs > facts.nowMs) return null;
  }
  return null;
}

/** The cheapest first; of two that cost the same, the one that was named first. */
function byPrice(candidates: readonly Candidate[]): readonly Candidate[] {
  return candidates.toSorted((one, other) => one.priceNanodollarsPerHour - other.priceNanodollarsPerHour);
}

/** Is the machine or its provider not to be asked for at the moment? */
export function isBlocked(state: FleetState, candidate: Candidate, nowMs: number): boolean {
  const provider = troubleOf(state, candidate.providerId);
  const own = state.candidates.get(candidateKey(candidate));
  return (provider?.untilMs ?? 0) > nowMs || (own?.untilMs ?? 0) > nowMs;
}

/** May a machine of this price be paid beside those that there are? Nano-dollars an hour. */
export function isAffordable(
  { instances }: FleetState,
  price: number,
  { ceilingNanodollarsPerHour: ceiling }: Pick<ChoiceFacts, "ceilingNanodollarsPerHour">,
): boolean {
  return ceiling === null || costOf(instances.values()) + price <= ceiling;
}
