// The workers of a load-balanced endpoint as lines of the list of workers: its upstreams, and the machines of its fleet, of which each is
// one line with its worker.
import type { Upstream } from "../../contract/settings.ts";
import type { WorkerView } from "../../contract/worker.ts";
import type { Instance } from "../../core/fleet/instance.ts";
import { explainWait } from "../fleet/facts.ts";
import { isEndingWell, lineOf, machineView } from "../fleet/worker-lines.ts";
import type { BrokerState } from "../state.ts";
import { NO_RATE, NOT_KNOWN_OF_CALLED } from "../workers/called-line.ts";
import { membersOf } from "./members.ts";
import type { LbSlots } from "./slots.ts";

interface Parts extends BrokerState {
  readonly lb: LbSlots;
}

/** A line, and whether its worker has room for a request now. */
export interface LbLine {
  readonly view: WorkerView;
  readonly isReady: boolean;
}

const NO_ANSWER = "Its /ping was not answered by 200 or 204, or it could not be reached.";
const DRAINED = "It is being drained: it gets no more requests.";
const STATE_OF_HEALTH = { ready: "IDLE", unknown: "IDLE", starting: "INITIALIZING", unhealthy: "UNHEALTHY" } as const;

export function lbLines(parts: Parts, nowMs: number): readonly LbLine[] {
  const members = membersOf(parts);
  const called = new Set(members.map(({ id }) => id));
  const absent = [...parts.machines.all()].filter(({ id }) => !called.has(id));
  return [
    ...members.map((member) => lineOfMember(parts, member, nowMs)),
    ...absent.flatMap((instance) => lineOfAbsent(parts, instance, nowMs) ?? []),
  ];
}

/** `jobs` is empty: load-balanced requests have no ids that a caller could ask for. */
function lineOfMember(parts: Parts, { id, tier, rateKind, slots }: Upstream, nowMs: number): LbLine {
  const look = parts.lb.look(id, nowMs);
  const { health, running } = look ?? { health: "unhealthy", running: 0 };
  const instance = parts.machines.get(id);
  const shown = { ...NOT_KNOWN_OF_CALLED, id, tier, rateKind, slots, running, jobs: [] };
  const isReady = look?.health === "ready" && running < slots;
  if (instance !== undefined && instance.phase !== "ready") {
    const reason = explainWait(parts, nowMs)?.detail ?? null;
    return { view: { ...shown, ...ofMachine(instance), state: "INITIALIZING", reason }, isReady };
  }
  // A worker that nobody has asked of late is taken to be sound, but it counts as ready only once it was asked.
  const state = STATE_OF_HEALTH[health] === "IDLE" && running > 0 ? "RUNNING" : STATE_OF_HEALTH[health];
  const reason = look === null ? NO_RATE : health === "unhealthy" ? NO_ANSWER : null;
  return { view: { ...shown, ...(instance === undefined ? {} : ofMachine(instance)), state, reason }, isReady };
}

function ofMachine(instance: Instance): Pick<WorkerView, "keyId" | "gpu" | "machine"> {
  return { keyId: instance.id, gpu: instance.candidate?.gpuTypeId ?? null, machine: machineView(instance) };
}

/** A machine that gets no request: it is on its way in or out. Null: it ends well, and there is nothing more to be seen of it. */
function lineOfAbsent(parts: Parts, instance: Instance, nowMs: number): LbLine | null {
  if (isEndingWell(instance, nowMs)) return null;
  const line: WorkerView = { ...lineOf(parts, instance, nowMs), kind: "push" };
  if (instance.phase !== "draining") return { view: line, isReady: false };
  const running = parts.lb.lifeOf(instance.id, nowMs)?.running ?? 0;
  return { view: { ...line, state: running > 0 ? "RUNNING" : "IDLE", running, reason: DRAINED }, isReady: false };
}
