// What every driver of a kind of providers can do. A driver is made for one call. It never throws for what a provider does: whatever
// comes, or does not come, is sorted into the kinds of core/fleet/provider.ts.
import type { CalledMachine } from "../contract/fleet.ts";
import type { HookWorker } from "../contract/fleet-hook.ts";
import type { Reach } from "../core/access/reach.ts";
import type { ProviderAnswer } from "../core/fleet/provider.ts";

export interface Driver {
  /** Makes a machine of this name, once: no vendor can tell a second call from the first one. */
  create(machine: CalledMachine, plan: MachinePlan): Promise<ProviderAnswer>;
  /** Starts a stopped machine. One that runs is left as it is. */
  start(machine: CalledMachine): Promise<ProviderAnswer>;
  /** Stops a machine, which keeps its disk. One that is stopped is left as it is. */
  stop(machine: CalledMachine): Promise<ProviderAnswer>;
  /** Ends a machine for good. One that is gone is `gone`. */
  end(machine: CalledMachine): Promise<ProviderAnswer>;
  /** All machines of the endpoint. */
  list(): Promise<ProviderAnswer>;
}

/** What machines of an endpoint are made of. */
export interface MachinePlan {
  readonly worker: HookWorker;
  /** The variables of one machine alone, its key among them, which go before those of `worker`. */
  variablesOf(machine: CalledMachine): Promise<Readonly<Record<string, string>>>;
}

/** What a driver needs to make calls. */
export interface CallDeps {
  readonly reach: Reach;
  readonly now: () => number;
  /** When the whole call has to be over, epoch ms. */
  readonly untilMs: number;
}
