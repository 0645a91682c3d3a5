// What tests of the pure part of a fleet begin from: one kind of machine, its records, the facts of a moment, and what a list shows.

import type { FleetFacts, WorkerFacts } from "../../src/core/fleet/fleet-facts.ts";
import { beginFleet, type FleetState } from "../../src/core/fleet/fleet-state.ts";
import { type Candidate, enterPhase, type Instance, wantInstance } from "../../src/core/fleet/instance.ts";
import type { Listed, ProviderAnswer } from "../../src/core/fleet/provider.ts";
import { type FleetCall, reconcile } from "../../src/core/fleet/reconcile.ts";
import { takeAnswer } from "../../src/core/fleet/take-answer.ts";
import { takeList } from "../../src/core/fleet/take-list.ts";

export const HOUR = 3_600_000;
export const CANDIDATE: Candidate = {
  providerId: "p1",
  gpuTypeId: "A",
  priceNanodollarsPerHour: 1e9,
  tier: "t",
  canStop: true,
};
/** A worker that has asked for jobs, has run some, and waits with a call open. */
export const IDLE: WorkerFacts = {
  hasAsked: true,
  hasRun: true,
  hasFailed: false,
  isSilent: false,
  running: 0,
  idleSinceMs: 0,
  goneAtMs: Number.POSITIVE_INFINITY,
  trouble: null,
};

/** One worker is wanted, and may be made of CANDIDATE; machines that start are not kept beyond that. */
export function factsAt(nowMs: number, partial: Partial<FleetFacts> = {}): FleetFacts {
  let ids = 0;
  return {
    nowMs,
    jitter: 0,
    isOpen: true,
    wanted: 1,
    patience: { most: 10, readyMs: null },
    active: 0,
    release: 1,
    candidates: [CANDIDATE],
    pricedTiers: new Set(["t"]),
    activeTiers: new Set(["t"]),
    ceilingNanodollarsPerHour: null,
    initTimeoutMs: 600_000,
    lifetimeMs: 24 * HOUR,
    stoppedKeptMs: 0,
    workers: new Map(),
    allSeenAtMs: 0,
    swept: [],
    newId: () => {
      ids += 1;
      return `n${nowMs}x${ids}`;
    },
    ...partial,
  };
}

/** A machine of p1 that is ready since the time 0, and may live for a day. */
export function readyMachine(id: string, partial: Partial<Instance> = {}): Instance {
  return enterPhase(wantInstance(id, "flex", 1, 0), "ready", 0, {
    candidate: CANDIDATE,
    providerId: "p1",
    ref: `ref-${id}`,
    priceNanodollarsPerHour: 1e9,
    answeredAtMs: 0,
    readyAtMs: 0,
    endsAtMs: 24 * HOUR,
    ...partial,
  });
}

/** A machine of the endpoint `ep` that runs, as its provider shows it. */
export function shown(id: string): Listed {
  const price = { priceNanodollarsPerHour: null, url: null, detail: null };
  return { name: `wb-ep-${id}`, ref: `ref-${id}`, status: "running", ...price };
}

export function workersOf(...workers: (readonly [id: string, partial: Partial<WorkerFacts>])[]) {
  return new Map(workers.map(([id, partial]) => [id, { ...IDLE, ...partial }]));
}

/** What becomes of the records by the answer to one call. */
export function answered(state: FleetState, call: FleetCall, answer: ProviderAnswer, nowMs: number): FleetState {
  const moment = { nowMs, jitter: 0 };
  return call.operation === "list"
    ? takeList(state, { ...call, endpointId: "ep", unproven: new Set() }, answer, moment)
    : takeAnswer(state, call, answer, moment);
}

/** A fleet over some minutes, looked at each second, with a provider that answers each call after a tenth of a second. */
export function runFleet(
  answer: (call: FleetCall) => ProviderAnswer,
  minutes: number,
  partial: Partial<FleetFacts> = {},
  from: FleetState = beginFleet([]),
) {
  let state = from;
  const calls: { readonly operation: FleetCall["operation"]; readonly atMs: number }[] = [];
  for (let nowMs = 1_000_000; nowMs < 1_000_000 + minutes * 60_000; nowMs += 1_000) {
    const plan = reconcile(state, factsAt(nowMs, partial));
    state = plan.state;
    for (const call of plan.calls) {
      calls.push({ operation: call.operation, atMs: nowMs });
      state = answered(state, call, answer(call), nowMs + 100);
    }
  }
  return {
    state,
    calls,
    called: (operation: FleetCall["operation"]) => calls.filter((one) => one.operation === operation),
  };
}
