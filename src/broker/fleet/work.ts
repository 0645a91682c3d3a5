// What a fleet has to know of its endpoint's work: of jobs that its workers fetch, or of requests that they are called with. The two kinds
// of endpoints differ in this, and in nothing else that a fleet does.
import type { FleetSettings } from "../../contract/fleet.ts";
import type { Load } from "../../core/fleet/demand.ts";
import type { WorkerFacts } from "../../core/fleet/fleet-facts.ts";
import type { Instance } from "../../core/fleet/instance.ts";

/** What the work of a moment needs. */
export interface NeededWork {
  readonly load: Load;
  /** When some more of it waits for too long, epoch ms; Infinity: none will. */
  readonly overdueAtMs: number;
  /** When it is known what runs, after a start of the broker, epoch ms; Infinity: it is known. */
  readonly knownAtMs: number;
}

export interface FleetWork {
  /** `leaving`: the machines that get no more, so that what runs on them needs no other one. */
  loadOf(settings: FleetSettings, leaving: ReadonlySet<Instance>, nowMs: number): NeededWork;
  /** What the workers have shown since the broker's start, by the id of their machine. */
  workers(nowMs: number): ReadonlyMap<string, WorkerFacts>;
  /** From when on every worker that lives has shown itself since the broker's start, epoch ms. */
  readonly allSeenAtMs: number;
  /** Is there something wrong with the worker of a machine that was ready, so that its machine has to be looked at? */
  isTroubled(instance: Instance, nowMs: number): boolean;
}
