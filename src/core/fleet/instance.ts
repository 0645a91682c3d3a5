// One machine of a fleet as the broker records it: its row is written before its provider is asked for anything, and stays until the
// provider has shown that the machine is gone.
import type { RateKind } from "../job/pricing.ts";
import { RETIRE_BEFORE_MS, START_JUDGED_MS } from "./limits.ts";

/**
 * `wanted`: nothing was asked yet. `creating`: the create is under way, or its answer was unclear. `starting`: the machine is there,
 * its worker has not asked for a job. `ready`: it has. `draining`: it gets no more jobs. `stopping`: it is to stop or to end.
 * `stopped`: it keeps its disk alone, and can be started again. A machine that is gone has no record.
 */
export const INSTANCE_PHASES = ["wanted", "creating", "starting", "ready", "draining", "stopping", "stopped"] as const;
export type InstancePhase = (typeof INSTANCE_PHASES)[number];

/** A kind of machine that an endpoint may have: a GPU type of a provider. */
export interface Candidate {
  readonly providerId: string;
  readonly gpuTypeId: string;
  /** The most that it costs while it runs, nano-dollars an hour, as far as it is known before it is created. */
  readonly priceNanodollarsPerHour: number;
  readonly tier: string;
  /** Can the provider stop a machine and start it again? */
  readonly canStop: boolean;
}

export interface Instance {
  readonly id: string;
  readonly phase: InstancePhase;
  /** Since when it has this phase, epoch ms. */
  readonly sinceMs: number;
  readonly createdAtMs: number;
  /** Null: none is chosen yet, or it is a machine that no record owned. */
  readonly candidate: Candidate | null;
  readonly providerId: string | null;
  readonly rateKind: RateKind;
  /** The number of the endpoint's release that it was made by. */
  readonly release: number;
  /** The provider's own id; null: it has told none. */
  readonly ref: string | null;
  readonly url: string | null;
  /** What it costs while it runs, nano-dollars an hour: the provider's figure where there is one. */
  readonly priceNanodollarsPerHour: number;
  /** The call under way. Its answer names `no`, so that the answer to an earlier call changes nothing. */
  readonly call: {
    readonly operation: "create" | "start" | "stop" | "end";
    readonly no: number;
    readonly atMs: number;
  } | null;
  /** How many calls were made for it. */
  readonly calls: number;
  /** How often the present operation has failed in a row, or an end has done nothing, and when it may be tried again, epoch ms. */
  readonly failures: number;
  readonly notBeforeMs: number;
  /** When a create, or a start, ended without a clear answer, epoch ms; null: it was clear. */
  readonly unclearAtMs: number | null;
  /** Since when it is stopped, though its start may have been tried meanwhile, epoch ms; null: it is not. */
  readonly stoppedAtMs: number | null;
  /** When it was last created or started, epoch ms: the time for its start is counted from here. */
  readonly startedAtMs: number;
  /** Was it stopped since it was created, so that its newest start was that of a machine that was there? */
  readonly isResumed: boolean;
  /** Has its owner drained its worker, and not taken that back? */
  readonly isDrained: boolean;
  /** Its hard end, epoch ms: set when it is created, and kept whatever becomes of the settings. */
  readonly endsAtMs: number;
  /** When the provider had done that, epoch ms; null: it has not said so. */
  readonly answeredAtMs: number | null;
  /** When its worker first asked for a job after that, epoch ms. */
  readonly readyAtMs: number | null;
  /** `stopping`: what it is to become. `starting`: `running`, while the start of a stopped machine is still to be asked for. */
  readonly goal: "running" | "stopped" | "gone" | null;
  /** When an end was answered as done, epoch ms; null: it was not. */
  readonly endedAtMs: number | null;
  /** `stopping` without an answer to an end: a machine that is in no list until then is taken to be gone, epoch ms. */
  readonly lookUntilMs: number;
  /** One sentence: what last went wrong, or why it is to end where that is meant (staying.ts); null: nothing. */
  readonly lastError: string | null;
}

/** A record of a machine for which nothing was asked yet. */
export function wantInstance(id: string, rateKind: RateKind, release: number, nowMs: number): Instance {
  return {
    id,
    phase: "wanted",
    sinceMs: nowMs,
    createdAtMs: nowMs,
    candidate: null,
    providerId: null,
    rateKind,
    release,
    ref: null,
    url: null,
    priceNanodollarsPerHour: 0,
    call: null,
    calls: 0,
    failures: 0,
    notBeforeMs: 0,
    unclearAtMs: null,
    stoppedAtMs: null,
    startedAtMs: nowMs,
    isResumed: false,
    isDrained: false,
    endsAtMs: nowMs,
    answeredAtMs: null,
    readyAtMs: null,
    goal: null,
    endedAtMs: null,
    lookUntilMs: 0,
    lastError: null,
  };
}

/** Enters a phase; what belongs to the operation before is over. */
export function enterPhase(
  instance: Instance,
  phase: InstancePhase,
  nowMs: number,
  more: Partial<Instance> = {},
): Instance {
  return { ...instance, phase, sinceMs: nowMs, failures: 0, notBeforeMs: 0, goal: null, ...more };
}

/** Is it one of the workers that were asked for? One that drains or ends is none any more. */
export function isLive({ phase }: Instance): boolean {
  return phase === "wanted" || phase === "creating" || phase === "starting" || phase === "ready";
}

/** Was it ready before the broker's start at that time, epoch ms, so that it may have run what this start has not seen? */
export function isReadyBefore({ readyAtMs }: Instance, startedAtMs: number): boolean {
  return readyAtMs !== null && readyAtMs < startedAtMs;
}

/** Is it a stopped machine whose start has no good answer: it is still to be asked for, is under way, or has come to nothing? */
export function isYetToStart({ phase, goal }: Instance): boolean {
  return phase === "starting" && goal === "running";
}

/** Has it been ready for so short a time that its worker, if it has run nothing, may not have started well? */
export function isNewlyReady({ readyAtMs }: Instance, nowMs: number): boolean {
  return readyAtMs === null || nowMs < readyAtMs + START_JUDGED_MS;
}

/** From when on a worker gets no more jobs, epoch ms: those that it has are to be done before the hard end of its machine. */
export function retiresAtMs({ startedAtMs, endsAtMs }: Instance): number {
  return endsAtMs - Math.min(RETIRE_BEFORE_MS, (endsAtMs - startedAtMs) / 10);
}

/** It stays as it was stopped: whatever was asked of it since has done nothing. */
export function stayStopped(instance: Instance, nowMs: number): Instance {
  const { failures, notBeforeMs, stoppedAtMs } = instance;
  const kept = { failures, notBeforeMs, stoppedAtMs: stoppedAtMs ?? nowMs, unclearAtMs: null };
  return enterPhase(instance, "stopped", nowMs, kept);
}

/** Since when a stopped machine is stopped, whatever was tried meanwhile, epoch ms. Records of an earlier release do not tell. */
export function stoppedSinceMs({ stoppedAtMs, sinceMs }: Instance): number {
  return stoppedAtMs ?? sinceMs;
}

/** Until when a stopped machine is kept, for `keptMs` at most, epoch ms: one that is started shortly before its end would not live for long. */
export function keptUntilMs(instance: Instance, keptMs: number): number {
  return Math.min(stoppedSinceMs(instance) + keptMs, instance.endsAtMs - 2 * RETIRE_BEFORE_MS);
}

/** Is its life so near its end that it gets no more jobs, and ends after those that it has? Those need no other machine. */
export function isAtItsEnd(instance: Instance, nowMs: number): boolean {
  return (instance.phase === "ready" || instance.phase === "draining") && nowMs >= retiresAtMs(instance);
}

/**
 * What machines may cost at this moment, nano-dollars an hour. What an unclear create may have made counts until it is known not to
 * exist; the disk of a stopped machine does not.
 */
export function costOf(instances: Iterable<Instance>): number {
  let sum = 0;
  for (const { phase, priceNanodollarsPerHour } of instances) {
    if (phase !== "wanted" && phase !== "stopped") sum += priceNanodollarsPerHour;
  }
  return sum;
}

/** What they cost without those that are on their way out, nano-dollars an hour. */
export function costOfStaying(instances: Iterable<Instance>): number {
  return costOf([...instances].filter(({ phase }) => phase !== "draining" && phase !== "stopping"));
}
