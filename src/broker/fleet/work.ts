// What a fleet has to know of its endpoint's work: of jobs that its workers fetch, or of requests that they are called with. The two kinds
// of endpoints differ in this, and in nothing else that a fleet does.
import type { FleetSettings } from "../../contract/fleet.ts";
import type { Load } from "../../core/fleet/demand.ts";
import type { Instance } from "../../core/fleet/instance.ts";
import type { WorkerFacts } from "../../core/fleet/reconcile.ts";

export interface FleetWork {
  /** What the work of this moment needs, and when some of it next waits for too long, epoch ms. */
  loadOf(settings: FleetSettings, nowMs: number): { readonly load: Load; readonly overdueAtMs: number };
  /** What the workers have shown since the broker's start, by the id of their machine. */
  workers(nowMs: number): ReadonlyMap<string, WorkerFacts>;
  /** From when on every worker that lives has shown itself since the broker's start, epoch ms. */
  readonly allSeenAtMs: number;
  /** Jobs or requests that run on the machine. */
  runningOn(instance: Instance, nowMs: number): number;
  /** Is there something wrong with the worker of a machine that was ready, so that its machine has to be looked at? */
  isTroubled(instance: Instance, nowMs: number): boolean;
}
