// A provider of machines in the place of the entrypoint that calls real ones: a test sees each call, and what exists, and says what the
// next answers are.
import { afterEach, beforeEach, vi } from "vitest";
import type { FleetSettings, ProviderCall } from "../../src/contract/fleet.ts";
import type { Listed, ProviderAnswer, ProviderOperation } from "../../src/core/fleet/provider.ts";
import { instanceName } from "../../src/core/fleet/provider.ts";
import { FleetOperator } from "../../src/fleet/fleet-operator.ts";

export interface HeldProvider {
  readonly calls: ProviderCall[];
  /** What exists, by name. */
  readonly machines: Map<string, Listed>;
  /** The next answers to an operation, in order, in place of what would be done. A function decides whether it is done all the same. */
  readonly answers: Partial<Record<ProviderOperation, (ProviderAnswer | (() => ProviderAnswer))[]>>;
  /** Where what is made is called; null: it is not. */
  url: string | null;
  /** Answers come only with this promise; null: at once. */
  pending: Promise<never> | null;
  called(operation: ProviderOperation): ProviderCall[];
}

export const DOLLAR = 1_000_000_000;

/** Settings of a fleet with one kind of machine, which scales by the number of requests. */
export function fleet(partial: Partial<FleetSettings> = {}): FleetSettings {
  return {
    rule: { type: "REQUEST_COUNT", requests: 1 },
    min: 0,
    max: 3,
    idleTimeoutMs: 5_000,
    slots: 1,
    schedule: null,
    ceilingNanodollarsPerHour: null,
    initTimeoutMs: 420_000,
    lifetimeMs: 86_400_000,
    keepsStopped: false,
    release: 1,
    candidates: [{ providerId: "p1", gpuTypeId: "A", priceNanodollarsPerHour: DOLLAR, tier: "a4000", canStop: true }],
    ...partial,
  };
}

/** Endpoints that have called a provider so far: their brokers may go on to do so in later tests. */
const known = new Set<string>();

/**
 * Called once by a file of tests, for all of them: each has a provider of its own, in the same object, and a clock that stands unless the
 * test moves it.
 */
export function useHeldProvider(): HeldProvider {
  const held = newHeld();
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["Date"] });
    Object.assign(held, newHeld());
    hold(held);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
  return held;
}

/** From now on every provider is this one, until the mocks are restored. Endpoints of earlier tests reach none. */
export function holdProvider(): HeldProvider {
  const held = newHeld();
  hold(held);
  return held;
}

function newHeld(): HeldProvider {
  const calls: ProviderCall[] = [];
  return {
    calls,
    machines: new Map(),
    answers: {},
    url: null,
    pending: null,
    called: (operation) => calls.filter((call) => call.operation === operation),
  };
}

function hold(held: HeldProvider): void {
  const former = new Set(known);
  vi.spyOn(FleetOperator.prototype, "operate").mockImplementation(async (call) => {
    known.add(call.endpointId);
    if (former.has(call.endpointId)) return { kind: "unreachable", detail: "its test is over" };
    held.calls.push(call);
    if (held.pending !== null) return held.pending;
    const scripted = held.answers[call.operation]?.shift();
    if (scripted === undefined) return act(held, call);
    return typeof scripted === "function" ? scripted() : scripted;
  });
}

function act({ machines, url }: HeldProvider, { operation, endpointId, machine }: ProviderCall): ProviderAnswer {
  if (operation === "list") return { kind: "listed", instances: [...machines.values()] };
  if (machine === null) throw new Error("a call about no machine");
  const name = instanceName(endpointId, machine.instanceId);
  const known = machines.get(name);
  if (operation === "create") {
    const made = {
      name,
      ref: `ref-${machine.instanceId}`,
      status: "running",
      priceNanodollarsPerHour: null,
      url,
      detail: null,
    } as const;
    machines.set(name, made);
    return { kind: "done", instance: made };
  }
  if (known === undefined) return { kind: "gone" };
  if (operation === "end") machines.delete(name);
  else machines.set(name, { ...known, status: operation === "stop" ? "stopped" : "running" });
  return { kind: "done", instance: machines.get(name) ?? null };
}
