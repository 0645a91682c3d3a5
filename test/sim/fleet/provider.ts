// A provider of machines with the faults of real ones: it may have nothing, want money, answer late, never or wrongly, list what was a
// while ago, make a machine minutes after an unclear answer, and lose machines. Its own truth is what the promises are checked by.

import { LIST_LAG_MS, UNCLEAR_KEPT_MS } from "../../../src/core/fleet/limits.ts";
import type { Listed, ProviderAnswer } from "../../../src/core/fleet/provider.ts";
import type { Random } from "../random.ts";

/**
 * What becomes of a machine that was created. `failed`: it does not run. `mute`: its worker never calls. `reports`: its worker calls, and
 * tells that it cannot start. `dies`: its first job ends it.
 */
const BAD_FATES = ["failed", "mute", "reports", "dies"] as const;
export type Fate = "fine" | (typeof BAD_FATES)[number];

export interface Machine {
  readonly name: string;
  readonly ref: string;
  /** What it was said to cost, and what it does cost, nano-dollars an hour. */
  readonly said: number;
  readonly price: number;
  status: "running" | "stopped" | "failed";
  /** It costs money until it is stopped or ended, also after it has failed. */
  isPaid: boolean;
  /** When its worker first calls, epoch ms; Infinity: it never does. */
  bootsAtMs: number;
  /** The job that its worker runs, and until when. */
  job: { readonly id: number; readonly endsAtMs: number } | null;
  readonly fate: Fate;
  /** No record has to know of it any more, or ever had to: a list alone shows it. */
  readonly isStray: boolean;
  hasRun: boolean;
  hasAsked: boolean;
  /** Its worker has called only to tell that it cannot start. */
  hasReported: boolean;
  idleSinceMs: number;
  lastCallMs: number;
}

export interface Faults {
  readonly noCapacity: number;
  readonly refused: number;
  readonly lost: number;
  readonly badBoot: number;
  /** Of these one befalls a machine that does not start well. */
  readonly fates: readonly Fate[];
  readonly lagMs: number;
  readonly dearer: number;
  /** A create is taken by an answer without the machine. */
  readonly unshown: number;
}

export const NO_FAULTS: Faults = {
  noCapacity: 0,
  refused: 0,
  lost: 0,
  badBoot: 0,
  fates: BAD_FATES,
  lagMs: 0,
  dearer: 0,
  unshown: 0,
};

/** What a create without a clear answer makes later. */
interface Late {
  readonly atMs: number;
  readonly name: string;
  readonly price: number;
  readonly isStray: boolean;
}

/** An answer and when it comes, epoch ms; Infinity: never. */
export interface Answered {
  readonly answer: ProviderAnswer;
  readonly atMs: number;
}

export class SimProvider {
  readonly machines = new Map<string, Machine>();
  /** How often a create was taken or may have been, by name. */
  readonly creates = new Map<string, number>();
  faults: Faults = NO_FAULTS;
  readonly #random: Random;
  /** What lists have shown, oldest first. */
  #history: { readonly atMs: number; readonly shown: readonly Listed[] }[] = [];
  #late: readonly Late[] = [];
  #refs = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  drawFaults(): void {
    const chance = () => (this.#random.chance(0.5) ? 0 : this.#random.next() * 0.6);
    this.faults = {
      noCapacity: chance(),
      refused: chance(),
      lost: chance(),
      badBoot: chance(),
      fates: this.#random.chance(0.5) ? BAD_FATES : [this.#random.pick(BAD_FATES)],
      lagMs: this.#random.integer(0, LIST_LAG_MS),
      dearer: this.#random.chance(0.2) ? 0.3 : 0,
      unshown: chance(),
    };
  }

  create(name: string, price: number, nowMs: number): Answered {
    if (this.#random.chance(this.faults.noCapacity)) {
      return this.#answer({ kind: "no_capacity", detail: "no machine" }, nowMs);
    }
    const refusal = this.#refusal(nowMs);
    if (refusal !== null && refusal.answer.kind !== "unclear") return refusal;
    this.creates.set(name, (this.creates.get(name) ?? 0) + 1);
    if (refusal !== null && this.#random.chance(0.5)) {
      if (this.#random.chance(0.3)) this.#makeLater(name, price, nowMs);
      return refusal;
    }
    this.#make(name, price, nowMs);
    const instance = this.#random.chance(this.faults.unshown) ? null : this.#shown(name);
    return refusal ?? this.#answer({ kind: "done", instance }, nowMs);
  }

  /** A machine with a name of ours that nobody remembers, such as that of a broker whose rows were lost. */
  plant(name: string, nowMs: number): void {
    this.#make(name, 0, nowMs, true);
  }

  /** When the next machine turns up whose create has had no clear answer, epoch ms. */
  nextLateMs(): number {
    return Math.min(...this.#late.map(({ atMs }) => atMs));
  }

  /** How many have turned up. */
  arrive(nowMs: number): number {
    if (this.nextLateMs() > nowMs) return 0;
    const due = this.#late.filter(({ atMs }) => atMs <= nowMs);
    this.#late = this.#late.filter(({ atMs }) => atMs > nowMs);
    for (const { name, price, isStray } of due) this.#make(name, price, nowMs, isStray);
    return due.length;
  }

  /** Is there a machine of that name, or will there be one, which its record has to end? */
  owes(name: string): boolean {
    return this.machines.get(name)?.isStray === false || this.#late.some((late) => late.name === name && !late.isStray);
  }

  #makeLater(name: string, price: number, nowMs: number): void {
    const afterMs = this.#random.pick([5_000, 40_000, 120_000, 300_000, 500_000, 900_000]);
    // Lists may show it half a minute after it has come.
    const isStray = afterMs > UNCLEAR_KEPT_MS - LIST_LAG_MS;
    this.#late = [...this.#late, { atMs: nowMs + afterMs, name, price, isStray }];
  }

  #make(name: string, price: number, nowMs: number, isStray = false): void {
    this.#refs += 1;
    const fate = this.#random.chance(this.faults.badBoot) ? this.#random.pick(this.faults.fates) : "fine";
    const boots = fate !== "failed" && fate !== "mute";
    this.machines.set(name, {
      name,
      ref: `m${this.#refs}`,
      said: price,
      price: this.#random.chance(this.faults.dearer) ? price * 2 : price,
      status: fate === "failed" ? "failed" : "running",
      isPaid: true,
      bootsAtMs: boots ? nowMs + this.#random.integer(300, 90_000) : Number.POSITIVE_INFINITY,
      job: null,
      fate,
      isStray,
      hasRun: false,
      hasAsked: false,
      hasReported: false,
      idleSinceMs: nowMs,
      lastCallMs: nowMs,
    });
    this.#note(nowMs);
  }

  end(ref: string, nowMs: number): Answered {
    const machine = this.#byRef(ref);
    const refusal = this.#refusal(nowMs);
    if (refusal !== null && (refusal.answer.kind !== "unclear" || this.#random.chance(0.5))) return refusal;
    // Taken, and nothing happens.
    if (this.faults.lost > 0 && this.#random.chance(0.1)) return this.#answer({ kind: "done", instance: null }, nowMs);
    if (machine === undefined) return this.#answer({ kind: "gone" }, nowMs);
    this.machines.delete(machine.name);
    this.#note(nowMs);
    return refusal ?? this.#answer({ kind: "done", instance: null }, nowMs);
  }

  stop(ref: string, nowMs: number): Answered {
    const machine = this.#byRef(ref);
    if (machine === undefined) return this.#answer({ kind: "gone" }, nowMs);
    if (machine.status === "failed") return this.#answer({ kind: "bad_config", detail: "it has failed" }, nowMs);
    const refusal = this.#refusal(nowMs);
    if (refusal !== null && (refusal.answer.kind !== "unclear" || this.#random.chance(0.5))) return refusal;
    machine.status = "stopped";
    machine.isPaid = false;
    machine.bootsAtMs = Number.POSITIVE_INFINITY;
    this.#note(nowMs);
    return refusal ?? this.#answer({ kind: "done", instance: this.#shown(machine.name) }, nowMs);
  }

  start(ref: string, nowMs: number): Answered {
    const machine = this.#byRef(ref);
    if (machine === undefined) return this.#answer({ kind: "gone" }, nowMs);
    if (this.#random.chance(this.faults.noCapacity)) {
      return this.#answer({ kind: "no_capacity", detail: "the host has no GPU left" }, nowMs);
    }
    const refusal = this.#refusal(nowMs);
    if (refusal !== null && (refusal.answer.kind !== "unclear" || this.#random.chance(0.5))) return refusal;
    // What has failed while it was stopped does not start.
    if (machine.status === "failed") return this.#answer({ kind: "bad_config", detail: "it has failed" }, nowMs);
    machine.status = "running";
    machine.isPaid = true;
    machine.hasAsked = false;
    // Its worker's process is a new one.
    machine.hasRun = false;
    machine.bootsAtMs = nowMs + this.#random.integer(100, 5_000);
    this.#note(nowMs);
    return refusal ?? this.#answer({ kind: "done", instance: this.#shown(machine.name) }, nowMs);
  }

  list(nowMs: number): Answered {
    const refusal = this.#refusal(nowMs);
    if (refusal !== null) return refusal;
    const seenAtMs = nowMs - this.#random.integer(0, this.faults.lagMs);
    const seen = this.#history.findLast(({ atMs }) => atMs <= seenAtMs);
    const answered = this.#answer({ kind: "listed", instances: seen?.shown ?? [] }, nowMs);
    // Some lists take long, and show no more by that.
    const isSlow = this.faults.lagMs > 0 && this.#random.chance(0.05);
    return isSlow ? { ...answered, atMs: answered.atMs + this.#random.integer(1_000, 40_000) } : answered;
  }

  /** The machine is lost: its host has failed. */
  lose(name: string, nowMs: number): void {
    if (this.#random.chance(0.5)) this.machines.delete(name);
    else {
      const machine = this.machines.get(name);
      if (machine !== undefined) machine.status = "failed";
    }
    this.#note(nowMs);
  }

  #refusal(nowMs: number): Answered | null {
    if (this.#random.chance(this.faults.lost)) {
      const never = this.#random.chance(0.3);
      const answer = { kind: "unclear", detail: "no answer" } as const;
      return { answer, atMs: never ? Number.POSITIVE_INFINITY : nowMs + this.#random.integer(1, 40_000) };
    }
    if (!this.#random.chance(this.faults.refused)) return null;
    const answer: ProviderAnswer = this.#random.pick([
      { kind: "unpaid", detail: "no money" },
      { kind: "denied", detail: "wrong key" },
      { kind: "unreachable", detail: "refused" },
      { kind: "wait", retryAfterMs: this.#random.pick([null, 1_000, 900_000]), detail: "too many calls" },
    ] as const);
    return this.#answer(answer, nowMs);
  }

  #answer(answer: ProviderAnswer, nowMs: number): Answered {
    return { answer, atMs: nowMs + this.#random.integer(20, 2_000) };
  }

  #byRef(ref: string): Machine | undefined {
    return [...this.machines.values()].find((machine) => machine.ref === ref);
  }

  #note(nowMs: number): void {
    // The newest of those that are older than any list may be is what the most belated list shows.
    const oldest = this.#history.findLastIndex(({ atMs }) => atMs <= nowMs - LIST_LAG_MS);
    this.#history = this.#history.slice(Math.max(oldest, 0));
    this.#history.push({ atMs: nowMs, shown: [...this.machines.keys()].flatMap((name) => this.#shown(name) ?? []) });
  }

  #shown(name: string): Listed | null {
    const machine = this.machines.get(name);
    if (machine === undefined) return null;
    const { ref, status, price } = machine;
    return { name, ref, status, priceNanodollarsPerHour: price, url: null, detail: null };
  }
}
