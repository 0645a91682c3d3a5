// The endpoint that a broker serves, as it is now: its id, its settings, and the pool of slots that upstreams and workers give.
import type { EndpointSettings } from "../contract/settings.ts";
import { type Failure, fail, ok, type Result } from "../core/failure.ts";
import { TrialTurns } from "../core/scheduling/trial-turns.ts";
import { UpstreamPool } from "../core/scheduling/upstream-pool.ts";
import { rateOf } from "./jobs/leasing.ts";
import type { BrokerStore } from "./store/jobs.ts";

const BEHIND: Failure = { kind: "settings_behind" };
const DELETED: Failure = { kind: "not_found", what: "endpoint" };

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

  /** The settings, for a call that was made with this version of them. A deleted endpoint is as one that never was. */
  open(settingsVersion: number): Result<EndpointSettings> {
    const settings = this.#settings;
    if (settings === null) return fail(BEHIND);
    if (settings.deletedAtMs !== null) return fail(DELETED);
    return settings.version < settingsVersion ? fail(BEHIND) : ok(settings);
  }

  /** Null: the endpoint is not known to be deleted. */
  get deletion(): Failure | null {
    return (this.#settings?.deletedAtMs ?? null) === null ? null : DELETED;
  }

  /** What its settings become when these are taken. */
  afterwards(settings: EndpointSettings): EndpointSettings {
    return toKeep(settings, this.#settings);
  }

  /** `alongside` writes what follows from the new settings, in the transaction that writes them. */
  configure(settings: EndpointSettings, nowMs: number, alongside: () => void): void {
    this.#keep(this.afterwards(settings), nowMs, alongside);
  }

  /** No job of a deleted endpoint is left that would be cancelled at an upstream, so that its credential may go, too. */
  forgetUpstreams(nowMs: number): void {
    if (this.#settings !== null) this.#keep({ ...this.#settings, upstreams: [] }, nowMs);
  }

  #keep(settings: EndpointSettings, nowMs: number, alongside = (): void => undefined): void {
    this.#store.transaction(() => {
      this.#store.writeSettings(settings);
      alongside();
    });
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

/**
 * Settings as the broker keeps them. A deletion is final, whatever comes later; it starts no job and lets no worker in, and
 * leaves the upstreams of before, which D1 has not any more: running jobs are cancelled there.
 */
function toKeep(settings: EndpointSettings, present: EndpointSettings | null): EndpointSettings {
  if (present !== null && present.deletedAtMs !== null) return { ...present, version: settings.version };
  if (settings.deletedAtMs === null) return settings;
  return { ...settings, paused: true, workerKeys: [], upstreams: present?.upstreams ?? [] };
}
