// What a provider is told of a machine, and of all machines that it is to have, from their records.
import type { CalledMachine, ProviderCall } from "../../contract/fleet.ts";
import type { Instance } from "../../core/fleet/instance.ts";

export function calledMachine(instance: Instance): CalledMachine {
  return {
    instanceId: instance.id,
    ref: instance.ref,
    gpuTypeId: instance.candidate?.gpuTypeId ?? "",
    tier: instance.candidate?.tier ?? "",
    rateKind: instance.rateKind,
    endsAtMs: instance.endsAtMs,
  };
}

/** The whole state: a machine that is to end is not in it, and one whose create has no answer yet is. */
export function desiredOf(instances: Iterable<Instance>, providerId: string): ProviderCall["desired"]["machines"] {
  return [...instances].flatMap((instance) => {
    const isItsOwn = instance.providerId === providerId && instance.candidate !== null && instance.goal !== "gone";
    if (!isItsOwn) return [];
    const isStopped = instance.phase === "stopped" || instance.goal === "stopped";
    return [{ ...calledMachine(instance), state: isStopped ? ("stopped" as const) : ("running" as const) }];
  });
}
