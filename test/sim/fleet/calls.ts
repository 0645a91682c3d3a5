// What the calls to providers promise, by an account of its own of what each has answered: a provider has its pauses, and an unclear create
// is asked for before another machine is made in its place. A start of the broker forgets pauses (docs/decisions/fleet.md), and so does this.
import type { Candidate, Instance } from "../../../src/core/fleet/instance.ts";
import {
  CALL_LOST_AFTER_MS,
  CALLS_MAX,
  ENDS_WAIT_MAX_MS,
  LIST_AGAIN_MS,
  NO_CAPACITY_MS,
  PROVIDER_WAIT_MAX_MS,
  REFUSED_MS,
  RETRY_BASE_MS,
  RETRY_MAX_MS,
} from "../../../src/core/fleet/limits.ts";
import type { ProviderAnswer, Refusal } from "../../../src/core/fleet/provider.ts";
import type { FleetCall } from "../../../src/core/fleet/reconcile.ts";
import type { PromiseName } from "./promises.ts";

/** Other refusals than that of money or the key have pauses up to this, with their jitter. */
const OTHER_PAUSE_MAX_MS = 1.25 * RETRY_MAX_MS;

/** When a provider may be called again, epoch ms. */
interface Pauses {
  /** Where it has asked for a pause, which no success of another call ends. */
  askedMs: number;
  askedAtMostMs: number;
  /** Pauses of creates and starts for other reasons last until this at most. */
  othersMs: number;
  /** Where it has refused creates or starts, and where it has refused any other call: until one of the same sort succeeds. */
  readonly refusedMs: { asking: number; tending: number };
  endsMs: number;
  listsMs: number;
  /** How often calls of a sort were refused since the last one that was not. */
  readonly refusals: { asking: number; tending: number };
}

type MachineCall = Exclude<FleetCall, { readonly operation: "list" }>;

interface Flying {
  readonly providerId: string;
  readonly instanceId: string;
  readonly atMs: number;
}

export class CallPromises {
  readonly #break: (name: PromiseName, note: string) => void;
  readonly #pauses = new Map<string, Pauses>();
  /** Kinds of machines that are not to be had, or too dear, by provider and GPU. */
  readonly #kinds = new Map<string, number>();
  readonly #doubtful = new Map<string, number>();
  /** When the same call may be repeated about a machine, by its operation. */
  readonly #repeats = new Map<string, number>();
  /** When a machine whose start was refused is started again at the latest. */
  readonly #restarts = new Map<string, number>();
  readonly #flying = new Map<string, Flying>();
  /** Since when the create of a machine is unclear. */
  readonly #unclear = new Map<string, number>();
  /** When the newest list was asked for that has come to any end, by provider. */
  readonly #listed = new Map<string, number>();
  readonly #lists = new Map<string, number>();

  constructor(onBroken: (name: PromiseName, note: string) => void) {
    this.#break = onBroken;
  }

  restarted(): void {
    this.#pauses.clear();
    this.#kinds.clear();
    this.#doubtful.clear();
    this.#lists.clear();
  }

  /** `isSwept`: it is asked for a list whether one is due or not. */
  listAsked(providerId: string, isSwept: boolean, nowMs: number): void {
    const { listsMs } = this.#of(providerId);
    if (!isSwept && nowMs < listsMs)
      this.#break("pressed", `${providerId} is asked for a list ${listsMs - nowMs} ms early`);
    const underWayMs = this.#lists.get(providerId);
    if (underWayMs !== undefined && nowMs < underWayMs + CALL_LOST_AFTER_MS)
      this.#break("pressed", `${providerId} is asked for two lists at once`);
    this.#lists.set(providerId, nowMs);
  }

  asked(call: MachineCall, instance: Instance, nowMs: number): void {
    const { providerId, operation, instanceId } = call;
    const what = `${operation} of ${instanceId} at ${providerId}`;
    const { askedMs, refusedMs, endsMs } = this.#of(providerId);
    const isAsking = operation === "create" || operation === "start";
    const restsMs = isAsking ? Math.max(askedMs, refusedMs.asking, refusedMs.tending) : endsMs;
    if (nowMs < restsMs) this.#break("pressed", `${what} ${restsMs - nowMs} ms before the end of a pause`);
    const kindMs = operation === "create" ? (this.#kinds.get(kindOf(instance)) ?? 0) : 0;
    if (nowMs < kindMs) this.#break("pressed", `${what}, which is not to be had for another ${kindMs - nowMs} ms`);
    const repeatMs = this.#repeats.get(`${instanceId} ${operation}`) ?? 0;
    if (nowMs < repeatMs) this.#break("pressed", `${what} is repeated ${repeatMs - nowMs} ms early`);
    if (operation === "create") this.#unclear.set(instanceId, nowMs + CALL_LOST_AFTER_MS);
    this.#fly(call, what, nowMs);
  }

  #fly({ providerId, instanceId, no }: MachineCall, what: string, nowMs: number): void {
    for (const [key, { atMs }] of this.#flying) if (nowMs >= atMs + CALL_LOST_AFTER_MS) this.#flying.delete(key);
    const flying = [...this.#flying.values()];
    if (flying.some((other) => other.instanceId === instanceId)) this.#break("pressed", `${what} beside another call`);
    if (flying.filter((other) => other.providerId === providerId).length >= CALLS_MAX)
      this.#break("pressed", `${what} is one call too many at once`);
    this.#flying.set(`${instanceId} ${no}`, { providerId, instanceId, atMs: nowMs });
  }

  /** `isTaken`: it answers the call that the record has under way. */
  answered(
    call: FleetCall,
    answer: ProviderAnswer,
    isTaken: boolean,
    instance: Instance | undefined,
    nowMs: number,
  ): void {
    const pauses = this.#of(call.providerId);
    if (call.operation === "list") {
      this.#listed.set(call.providerId, this.#lists.get(call.providerId) ?? 0);
      this.#lists.delete(call.providerId);
      if (answer.kind === "listed") this.#succeeded(pauses, "tending");
      else if (answer.kind !== "done" && answer.kind !== "gone") this.#refused(pauses, "tending", answer, nowMs);
      pauses.listsMs = nowMs + LIST_AGAIN_MS;
      return;
    }
    this.#flying.delete(`${call.instanceId} ${call.no}`);
    if (!isTaken) return;
    const sort = call.operation === "create" || call.operation === "start" ? "asking" : "tending";
    if (answer.kind === "done" || answer.kind === "gone" || answer.kind === "listed") {
      this.#succeeded(pauses, sort);
      return;
    }
    this.#refused(pauses, sort, answer, nowMs);
    if (call.operation === "create") {
      if (answer.kind === "unclear") this.#unclear.set(call.instanceId, nowMs);
      if (answer.kind === "no_capacity" && instance !== undefined) this.notToBeHad(instance, NO_CAPACITY_MS, nowMs);
      return;
    }
    this.#repeats.set(`${call.instanceId} ${call.operation}`, nowMs + RETRY_BASE_MS);
    // Each failure makes its own pause longer, up to this.
    if (call.operation === "start") this.#restarts.set(call.instanceId, nowMs + OTHER_PAUSE_MAX_MS);
  }

  /** Machines of this kind cannot be had for a while, or cost more than may be paid. */
  notToBeHad(instance: Instance, forMs: number, nowMs: number): void {
    const key = kindOf(instance);
    this.#kinds.set(key, Math.max(this.#kinds.get(key) ?? 0, nowMs + forMs));
    this.maybeNotToBeHad(instance, forMs, nowMs);
  }

  /** It may be so, and then the kind is rightly left alone. */
  maybeNotToBeHad(instance: Instance, forMs: number, nowMs: number): void {
    const key = kindOf(instance);
    this.#doubtful.set(key, Math.max(this.#doubtful.get(key) ?? 0, nowMs + forMs));
  }

  /** Is there no reason at all why such a machine should not be asked for, but for its price? */
  isFree({ providerId, gpuTypeId }: Candidate, nowMs: number): boolean {
    const { askedAtMostMs, refusals } = this.#of(providerId);
    const kindMs = this.#doubtful.get(`${providerId} ${gpuTypeId}`) ?? 0;
    return refusals.asking + refusals.tending === 0 && nowMs >= Math.max(askedAtMostMs, kindMs);
  }

  /** Is there no reason why this stopped machine should not be started? */
  mayStart({ id, candidate }: Instance, nowMs: number): boolean {
    return candidate !== null && this.isFree(candidate, nowMs) && nowMs >= (this.#restarts.get(id) ?? 0);
  }

  /** Has its provider been asked what the create has made, since that is unclear, and told it or not? */
  wasLookedFor({ id, providerId, startedAtMs }: Instance): boolean {
    // One that was lost with the broker before its call has no account here.
    const sinceMs = this.#unclear.get(id) ?? startedAtMs + CALL_LOST_AFTER_MS;
    return (this.#listed.get(providerId ?? "") ?? 0) >= sinceMs;
  }

  #succeeded(pauses: Pauses, sort: "asking" | "tending"): void {
    const { refusedMs, refusals } = pauses;
    // Where lists are answered again, what they were refused for is over.
    if (sort === "tending" && refusals.tending > 0) pauses.listsMs = 0;
    refusedMs[sort] = 0;
    refusals[sort] = 0;
  }

  #refused(pauses: Pauses, sort: "asking" | "tending", refusal: Refusal, nowMs: number): void {
    const { refusedMs } = pauses;
    pauses.refusals[sort] += 1;
    if (refusal.kind === "wait") {
      const pauseMs = Math.min(Math.max(refusal.retryAfterMs ?? 0, RETRY_BASE_MS), PROVIDER_WAIT_MAX_MS);
      pauses.endsMs = Math.max(pauses.endsMs, nowMs + Math.min(pauseMs, ENDS_WAIT_MAX_MS));
      refusedMs[sort] = Math.max(refusedMs[sort], nowMs + pauseMs);
      if (sort === "asking") pauses.askedMs = Math.max(pauses.askedMs, nowMs + pauseMs);
      // Where it names no time, the pause grows with each failure.
      const atMostMs = refusal.retryAfterMs === null ? OTHER_PAUSE_MAX_MS : pauseMs;
      if (sort === "asking") pauses.askedAtMostMs = Math.max(pauses.askedAtMostMs, nowMs + atMostMs);
    } else {
      const isLong = refusal.kind === "unpaid" || refusal.kind === "denied";
      if (isLong) refusedMs[sort] = Math.max(refusedMs[sort], nowMs + REFUSED_MS);
      if (sort === "asking")
        pauses.othersMs = Math.max(pauses.othersMs, nowMs + (isLong ? REFUSED_MS : OTHER_PAUSE_MAX_MS));
    }
    // Of two pauses the longer one is kept, and one for another reason ends with a success.
    if (pauses.askedMs <= pauses.othersMs) pauses.askedMs = 0;
  }

  #of(providerId: string): Pauses {
    const known = this.#pauses.get(providerId);
    if (known !== undefined) return known;
    const made = {
      askedMs: 0,
      askedAtMostMs: 0,
      othersMs: 0,
      refusedMs: { asking: 0, tending: 0 },
      endsMs: 0,
      listsMs: 0,
      refusals: { asking: 0, tending: 0 },
    };
    this.#pauses.set(providerId, made);
    return made;
  }
}

function kindOf({ candidate }: Instance): string {
  return candidate === null ? "" : `${candidate.providerId} ${candidate.gpuTypeId}`;
}
