// Applies announced prices when they begin: an upstream whose tier had no price may be used from then on. Settings
// contain prices ahead of their time, and are not sent again when that time has come.
import type { EndpointSettings } from "../../contract/settings.ts";
import type { Timed } from "../alarm.ts";
import type { LbSlots } from "../lb/slots.ts";
import type { BrokerState } from "../state.ts";
import { rateOf } from "./leasing.ts";

interface Parts extends BrokerState {
  readonly lb: LbSlots;
}

export class PriceClock implements Timed {
  readonly #parts: Parts;
  /** The settings that `#nextAtMs` was computed from: it is kept because each turn asks for it. */
  #read: EndpointSettings | null = null;
  #nextAtMs = Number.POSITIVE_INFINITY;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Epoch ms; Infinity: every upstream has its price, or none is announced. */
  nextAtMs(nowMs: number): number {
    const settings = this.#parts.endpoint.settings;
    if (settings !== this.#read) {
      this.#read = settings;
      this.#nextAtMs = settings === null ? Number.POSITIVE_INFINITY : nextPriceAtMs(settings, nowMs);
    }
    return this.#nextAtMs;
  }

  run(nowMs: number): boolean {
    if (this.nextAtMs(nowMs) > nowMs) return false;
    this.#read = null;
    this.#parts.endpoint.reprice(nowMs);
    this.#parts.lb.configured(nowMs);
    return false;
  }
}

function nextPriceAtMs(settings: EndpointSettings, nowMs: number): number {
  const unpriced = settings.upstreams.filter((upstream) => rateOf(upstream, settings, nowMs) === undefined);
  // None of these rates has begun, or the upstream would have a price.
  const announced = settings.rates.filter(({ tier, kind }) =>
    unpriced.some((upstream) => upstream.tier === tier && upstream.rateKind === kind),
  );
  return Math.min(...announced.map(({ effectiveFromMs }) => effectiveFromMs));
}
