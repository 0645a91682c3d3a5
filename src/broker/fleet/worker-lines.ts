// The machines of a fleet as lines of the list of workers: one line for a machine and its worker together, and one for a machine whose
// worker has not called.
import type { MachineView, WorkerView } from "../../contract/worker.ts";
import type { Instance } from "../../core/fleet/instance.ts";
import { END_SHOWN_AFTER_MS } from "../../core/fleet/limits.ts";
import { isMeant } from "../../core/fleet/staying.ts";
import type { BrokerState } from "../state.ts";
import { explainWait } from "./facts.ts";
import { holderOfInstance } from "./machines.ts";

const STATES = {
  wanted: "THROTTLED",
  creating: "INITIALIZING",
  starting: "INITIALIZING",
  ready: "UNHEALTHY",
  draining: "UNHEALTHY",
  stopping: "UNHEALTHY",
  stopped: "IDLE",
} as const satisfies Readonly<Record<Instance["phase"], WorkerView["state"]>>;

export function machineView(instance: Instance): MachineView {
  const { phase, sinceMs, providerId, candidate, priceNanodollarsPerHour, release, lastError } = instance;
  const { startedAtMs, answeredAtMs, readyAtMs } = instance;
  const gpuTypeId = candidate?.gpuTypeId ?? null;
  const times = { sinceMs, startedAtMs, answeredAtMs, readyAtMs };
  return { phase, providerId, gpuTypeId, priceNanodollarsPerHour, release, lastError, ...times };
}

/** Machines whose workers do not call. Those that end well are left out. */
export function absentMachines({ machines, pullSlots }: BrokerState, nowMs: number): readonly Instance[] {
  const calling = new Set(pullSlots.listed().map(({ holderId }) => holderId));
  return [...machines.all()].filter((instance) => {
    return !isEndingWell(instance, nowMs) && !calling.has(holderOfInstance(instance));
  });
}

/** Is there nothing more to be seen of it? One whose end takes too long may still be there, and be paid. */
export function isEndingWell({ phase, goal, lastError, sinceMs }: Instance, nowMs: number): boolean {
  const isWell = lastError === null || isMeant(lastError);
  return phase === "stopping" && goal === "gone" && isWell && nowMs < sinceMs + END_SHOWN_AFTER_MS;
}

export function lineOf(parts: BrokerState, instance: Instance, nowMs: number): WorkerView {
  const { fleet } = parts.endpoint.settings ?? { fleet: null };
  return {
    id: instance.id,
    kind: "pull",
    state: instance.goal === "stopped" ? "IDLE" : STATES[instance.phase],
    tier: instance.candidate?.tier ?? "",
    rateKind: instance.rateKind,
    slots: fleet?.slots ?? 1,
    running: 0,
    jobs: [],
    lastSeenAtMs: null,
    keyId: instance.id,
    gpu: instance.candidate?.gpuTypeId ?? null,
    version: null,
    draining: instance.phase === "draining",
    reason: reasonOf(parts, instance, nowMs),
    machine: machineView(instance),
  };
}

function reasonOf(parts: BrokerState, instance: Instance, nowMs: number): string | null {
  if (instance.phase === "stopped") return "It is stopped, and is started again before another one is created.";
  if (instance.goal === "stopped") return "It is being stopped, and is started again before another one is created.";
  if (instance.phase === "ready" || instance.phase === "draining") return "Its worker does not call.";
  if (instance.lastError !== null && !isMeant(instance.lastError)) return instance.lastError;
  if (instance.phase === "stopping") {
    const seconds = Math.floor((nowMs - instance.sinceMs) / 1_000);
    return `It was to end ${seconds} s ago, and its provider has not shown yet that it is gone: it may be paid.`;
  }
  return explainWait(parts, nowMs)?.detail ?? null;
}
