// Why no worker of a fleet is there yet, in words for those whose jobs wait for one.
import { candidateKey, crashesAt, type FleetState, troubleOf } from "./fleet-state.ts";
import type { Candidate, Instance } from "./instance.ts";
import { CRASH_LOOP_FROM } from "./limits.ts";
import type { UsualStart } from "./timings.ts";

export interface FleetWait {
  readonly reason: "STARTING" | "NO_CAPACITY" | "CRASH_LOOP";
  readonly detail: string;
  readonly sinceMs: number;
}

interface WaitFacts {
  readonly nowMs: number;
  readonly candidates: readonly Candidate[];
  readonly ceilingNanodollarsPerHour: number | null;
  /**
   * Is it told to the tenant of the endpoint? Others are told the reason alone: the words of its providers and workers may name its
   * account, its addresses and its files, and what it may spend is its own affair.
   */
  readonly isOwner: boolean;
  /** How long starts of created machines take, or those of machines that were stopped; null: no such start is known. */
  readonly usualStart: (isResumed: boolean) => UsualStart | null;
}

/** Null: no worker is on its way, or one is there: the wait has another cause. */
export function explainFleet(state: FleetState, facts: WaitFacts): FleetWait | null {
  const instances = [...state.instances.values()];
  const starting = instances.filter(({ phase }) => phase === "creating" || phase === "starting");
  const wanted = instances.find(({ phase }) => phase === "wanted");
  const crashes = crashesAt(state, facts.nowMs);
  const isPaused = wanted !== undefined && crashes.notBeforeMs > facts.nowMs;
  // Once the pause is over, and none is being tried, something else is in the way.
  if (crashes.inARow >= CRASH_LOOP_FROM && (isPaused || starting.length > 0)) {
    const next = isPaused ? `; the next one starts in ${seconds(crashes.notBeforeMs - facts.nowMs)}` : "";
    const detail = `The last ${crashes.inARow} workers failed their start${wordsOf(crashes.detail, facts)}${next}.`;
    return { reason: "CRASH_LOOP", detail, sinceMs: crashes.sinceMs };
  }
  const oldest = starting.reduce<Instance | null>(
    (found, one) => (found !== null && found.startedAtMs <= one.startedAtMs ? found : one),
    null,
  );
  if (oldest !== null)
    return {
      reason: "STARTING",
      detail: startDetail(oldest, facts.usualStart(oldest.isResumed), facts.nowMs),
      sinceMs: oldest.startedAtMs,
    };
  if (wanted === undefined) return null;
  if (isPaused) {
    const detail = `A worker failed its start${wordsOf(crashes.detail, facts)}; the next one starts in ${seconds(crashes.notBeforeMs - facts.nowMs)}.`;
    return { reason: "STARTING", detail, sinceMs: crashes.sinceMs };
  }
  return { reason: "NO_CAPACITY", detail: capacityDetail(state, facts), sinceMs: wanted.sinceMs };
}

function startDetail({ phase, startedAtMs, candidate }: Instance, usual: UsualStart | null, nowMs: number): string {
  const what = phase === "creating" ? "is being created" : "is there, and its worker loads";
  const where = candidate === null ? "" : ` (${candidate.gpuTypeId})`;
  const known =
    usual === null ? "" : `; ${usual.isMedian ? "usually it takes" : "the last one took"} ${seconds(usual.ms)}`;
  return `A machine${where} ${what}, since ${seconds(nowMs - startedAtMs)}${known}.`;
}

function capacityDetail(
  state: FleetState,
  { nowMs, candidates, ceilingNanodollarsPerHour: ceiling, isOwner }: WaitFacts,
): string {
  if (!isOwner) return "No machine is to be had at the moment.";
  const troubles = candidates.flatMap((candidate) => {
    const own = state.candidates.get(candidateKey(candidate));
    const trouble = own !== undefined && own.untilMs > nowMs ? own : troubleOf(state, candidate.providerId);
    return trouble === null || trouble === undefined || trouble.untilMs <= nowMs
      ? []
      : [`${candidate.gpuTypeId}: ${sentence(trouble.detail)}`];
  });
  if (troubles.length > 0) return `No machine is to be had: ${[...new Set(troubles)].join("; ")}.`;
  if (candidates.length === 0)
    return "No provider of the endpoint offers a machine that it may have and whose work has a price.";
  if (ceiling === null) return "A machine is about to be asked for.";
  return `Another machine would cost more than the endpoint may: $${ceiling / 1e9} an hour for all of them.`;
}

/** What somebody else has said of it, for the owner alone. */
function wordsOf(detail: string, { isOwner }: WaitFacts): string {
  return isOwner ? `: ${sentence(detail)}` : "";
}

function seconds(ms: number): string {
  return `${Math.max(Math.round(ms / 1_000), 0)} s`;
}

/** A sentence of somebody else's, without the stop at its end. */
function sentence(text: string): string {
  return text.replace(/[.\s]+$/, "");
}
