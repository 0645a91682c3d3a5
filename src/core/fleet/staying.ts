// Which machines may go on having jobs, and which have to leave once those that they have are done, whatever is wanted.
import type { RateKind } from "../job/pricing.ts";
import { type Candidate, type Instance, isAtItsEnd } from "./instance.ts";

export interface PriceFacts {
  /** The tiers whose work has a price. On a machine of any other nobody could be billed, so that it is of no use. */
  readonly pricedTiers: ReadonlySet<string>;
  /** The tiers whose workers can be active ones: they have a price for it. */
  readonly activeTiers: ReadonlySet<string>;
}

export interface StayFacts extends PriceFacts {
  readonly nowMs: number;
}

/** Can its worker get jobs, which somebody is billed for? */
export function isPriced({ candidate, rateKind }: Instance, { pricedTiers, activeTiers }: PriceFacts): boolean {
  return candidate === null || (rateKind === "active" ? activeTiers : pricedTiers).has(candidate.tier);
}

/** A worker whose tier has no price for the time that it is held is paid for what it does. */
export function payableKind(kind: RateKind, candidate: Candidate | null, { activeTiers }: PriceFacts): RateKind {
  return candidate !== null && activeTiers.has(candidate.tier) ? kind : "flex";
}

const DRAINED = "Its owner has drained its worker.";
const NO_PRICE = "The work of its tier has no price among the settings of the endpoint any more.";
export const LIFETIME_OVER = "Its lifetime is over.";
export const OVER_CEILING = "All machines together would cost more than the endpoint may.";
const MEANT: ReadonlySet<string> = new Set([DRAINED, NO_PRICE, LIFETIME_OVER, OVER_CEILING]);

/** Is this reason of a machine's end no error, but what its owner, or the settings of its endpoint, wanted? */
export function isMeant(reason: string): boolean {
  return MEANT.has(reason);
}

/**
 * Why a machine that was asked for gets no more jobs, or none at all, as one sentence; null: it may stay. The jobs that it has need no other
 * machine, and it cannot take the place of one.
 */
export function whyItLeaves(instance: Instance, facts: StayFacts): string | null {
  const { phase, isDrained } = instance;
  const isServing = phase === "ready" || phase === "draining";
  if (!isServing && phase !== "creating" && phase !== "starting") return null;
  if (isDrained) return DRAINED;
  if (!isPriced(instance, facts)) return NO_PRICE;
  return isServing && isAtItsEnd(instance, facts.nowMs) ? LIFETIME_OVER : null;
}
