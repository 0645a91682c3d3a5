// The machines of a fleet in memory, over their rows, and what follows from them for a worker that calls: whether its key is good, and
// whether it gets jobs. The id of a machine is the id of its worker's key (outbound/fleet-key.ts).
import type { Decision, FleetSettings } from "../../contract/fleet.ts";
import type { EndpointSettings, WorkerKey } from "../../contract/settings.ts";
import { beginFleet, type FleetState, putInstance } from "../../core/fleet/fleet-state.ts";
import { type Instance, isAtItsEnd } from "../../core/fleet/instance.ts";
import { UNKNOWN_START_MS } from "../../core/fleet/limits.ts";
import type { Timings } from "../../core/fleet/timings.ts";
import { holderOfWorker } from "../../core/job/worker-id.ts";
import { log } from "../../log.ts";
import type { InstanceRows } from "../store/instances.ts";

export class Machines {
  readonly #rows: InstanceRows;
  #state: FleetState;

  constructor(rows: InstanceRows, endpointId: string, nowMs: number) {
    this.#rows = rows;
    const kept = rows.read(nowMs);
    const salvaged = new Map<string, Instance>();
    for (const { id, instance, problem } of kept) {
      if (problem === null) continue;
      log("instance_unreadable", { endpoint: endpointId, instance: id, problem, isKeptAside: instance === null });
      if (instance !== null) salvaged.set(id, instance);
    }
    // A time that had to be guessed, such as a hard end, would move with each start.
    rows.write(new Map(), salvaged, null);
    this.#state = beginFleet(kept.flatMap(({ instance }) => instance ?? []));
  }

  get state(): FleetState {
    return this.#state;
  }

  get size(): number {
    return this.#state.instances.size;
  }

  get(instanceId: string): Instance | undefined {
    return this.#state.instances.get(instanceId);
  }

  all(): Iterable<Instance> {
    return this.#state.instances.values();
  }

  /** Writes the rows that differ, then takes the state over. */
  keep(next: FleetState, decision: Omit<Decision, "number"> | null): void {
    this.#rows.write(this.#state.instances, next.instances, decision);
    this.#state = next;
  }

  /** The key of a machine's worker; null: there is no such machine, or it is ending. A drained worker still reports its jobs. */
  keyOf(keyId: string, settings: FleetSettings | null): WorkerKey | null {
    const instance = this.get(keyId);
    if (instance === undefined || instance.candidate === null) return null;
    if (instance.phase === "stopping" || instance.phase === "stopped") return null;
    return {
      id: keyId,
      // The edge derives the key anew instead of comparing its digest.
      digest: "derived",
      tier: instance.candidate.tier,
      rateKind: instance.rateKind,
      slots: settings?.slots ?? 1,
      expiresAtMs: null,
    };
  }

  /** Notes in its record whether the owner has drained the worker of a machine. A key that is no machine's changes nothing. */
  noteDrained(keyId: string, isDrained: boolean): void {
    const instance = this.get(keyId);
    if (instance === undefined || instance.isDrained === isDrained) return;
    this.keep(putInstance(this.#state, { ...instance, isDrained }), null);
  }

  /** Is it a worker of the fleet that gets no more jobs? Its record may still be as it was before a start of the broker. */
  isLeaving(keyId: string, nowMs: number): boolean {
    const instance = this.get(keyId);
    if (instance === undefined) return false;
    const { phase, isDrained } = instance;
    return isDrained || phase === "draining" || phase === "stopping" || isAtItsEnd(instance, nowMs);
  }

  /**
   * Is it the key of a machine that was not ready yet at that time, epoch ms? A worker that asks for its first job may get it before
   * its machine is noted as ready, at the end of the call. Keys of other workers, and null, which is that of an upstream, are not.
   */
  isReadyOnlySince(keyId: string | null, atMs: number): boolean {
    const instance = keyId === null ? undefined : this.get(keyId);
    return instance !== undefined && (instance.readyAtMs === null || instance.readyAtMs > atMs);
  }

  /** In what time the first of the machines that start is usually ready, ms; Infinity: none starts. An unknown one may be at any time. */
  startsInMs(timings: Pick<Timings, "usualStart">, nowMs: number): number {
    let leastMs = Number.POSITIVE_INFINITY;
    for (const { phase, startedAtMs, isResumed } of this.all()) {
      if (phase !== "creating" && phase !== "starting") continue;
      const usual = timings.usualStart(isResumed);
      leastMs = Math.min(leastMs, usual === null ? UNKNOWN_START_MS : startedAtMs + usual.ms - nowMs);
    }
    return leastMs;
  }

  /** Is the holder a worker of the fleet? */
  owns(holderId: string): boolean {
    const [, keyId = ""] = /^worker:([^/]*)\//.exec(holderId) ?? [];
    return this.#state.instances.has(keyId);
  }
}

/** The key of a worker: one of the settings, whether it has expired or not, or that of a machine. Null: there is none. */
export function workerKeyOf(keyId: string, settings: EndpointSettings, machines: Machines): WorkerKey | null {
  return machines.keyOf(keyId, settings.fleet) ?? settings.workerKeys.find(({ id }) => id === keyId) ?? null;
}

/** A worker of a fleet calls itself by the id of its machine (RUNPOD_POD_ID). */
export function holderOfInstance({ id }: Pick<Instance, "id">): string {
  return holderOfWorker(id, id);
}
