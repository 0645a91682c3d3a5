// The endpoint that a broker serves, as it is now: its id, its settings, and the pool of slots that upstreams and workers give.
import type { EndpointSettings } from "../contract/settings.ts";
import { TrialTurns } from "../core/scheduling/trial-turns.ts";
import { UpstreamPool } from "../core/scheduling/upstream-pool.ts";
import { rateOf } from "./jobs/leasing.ts";
import type { BrokerStore } from "./store/jobs.ts";

export class Endpoint {
  readonly id: string;
  readonly startedAtMs: number;
  /** Names this start of the object: a lease that an earlier start gave may be lost by no fault of its carrier. */
  readonly incarnation = crypto.randomUUID();
  readonly pool = new UpstreamPool();
  readonly trials = new TrialTurns(this.pool);
  readonly #store: BrokerStore;
  #settings: EndpointSettings | null;

  constructor(id: string, store: BrokerStore, nowMs: number) {
    this.id = id;
    this.startedAtMs = nowMs;
    this.#store = store;
    this.#settings = store.readSettings();
    this.reprice(nowMs);
  }

  /** Null: the broker has never received settings. */
  get settings(): EndpointSettings | null {
    return this.#settings;
  }

  configure(settings: EndpointSettings, nowMs: number): void {
    this.#store.transaction(() => this.#store.writeSettings(settings));
    this.#settings = settings;
    this.reprice(nowMs);
  }

  /** Called when other upstreams than before may have a price: only upstreams with a price may be used. */
  reprice(nowMs: number): void {
    const settings = this.#settings;
    if (settings === null) return;
    const priced = settings.upstreams.filter((upstream) => rateOf(upstream, settings, nowMs) !== undefined);
    this.pool.configure(priced, nowMs);
  }
}
