// A small model of the broker's shell: rows are the truth, memory is an index, every change goes read → decide → write.
// It does what the Durable Object does, without storage, and tells the oracle of each decision.

import type { AttemptOutcome, JobEvent } from "../../src/core/job/event.ts";
import { Graces, staysInMemory } from "../../src/core/job/graces.ts";
import type { Job, Lease } from "../../src/core/job/job.ts";
import { dueAtMs, expiresAtMs } from "../../src/core/job/job.ts";
import type { Context, Effect, Transition } from "../../src/core/job/transition.ts";
import { LEASE_MS, WORKER_LEASE_MS } from "../../src/core/limits.ts";
import { FairOrder } from "../../src/core/scheduling/fair-order.ts";
import type { Oracle } from "./invariants.ts";
import type { Line } from "./ledger.ts";

export type TransitionFunction = (job: Job, event: JobEvent, context: Context) => Transition;

/** What a start of the object does with the leases that it finds, and which renewals it is to find. */
export interface LeaseKeeping {
  readonly graces: (stored: readonly (readonly [string, number])[]) => Pick<Graces, "resume" | "toStore">;
  readonly staysInMemory: typeof staysInMemory;
}

export const LEASE_KEEPING: LeaseKeeping = { graces: (stored) => new Graces(stored), staysInMemory };

interface Row {
  readonly job: Job;
  readonly inputHash: string;
  readonly hasOutput: boolean;
}

interface Memory {
  readonly incarnation: string;
  /** As renewed: a restart forgets what is not in the rows. */
  readonly leases: Map<string, Lease>;
  readonly waiting: Map<string, number>;
  readonly running: Map<string, number>;
  readonly busy: Map<string, number>;
  readonly fair: FairOrder;
  /** The waiting jobs that `fair` has. */
  readonly inOrder: Map<string, Job>;
  /** When each pulling worker was last heard of. */
  readonly seenAtMs: Map<string, number>;
}

export interface Upstream {
  readonly id: string;
  readonly slots: number;
  readonly rateKind: "flex" | "active";
  readonly nanodollarsPerSecond: number;
  /** The slots of a worker that pulls. */
  readonly pulls: boolean;
}

export class Shell {
  readonly tenants: readonly string[];
  /** How many jobs a tenant may run at once; without an entry as many as there are slots. */
  readonly bounds: ReadonlyMap<string, number>;
  readonly upstreams: readonly Upstream[];
  nowMs = 1_000_000;
  readonly rows = new Map<string, Row>();
  readonly postedThrough = new Map<string, number>();
  owed: Line[] = [];
  /** Oldest first. */
  readonly #purges: { readonly tenantId: string; readonly through: number; readonly atMs: number }[] = [];
  /** The row of graces. */
  #graces: readonly (readonly [string, number])[] = [];
  readonly #core: TransitionFunction;
  readonly #leaseKeeping: LeaseKeeping;
  readonly #oracle: Oracle;
  readonly #maxAttempts: number;
  readonly #jitter: () => number;
  readonly #onEffect: (effect: Effect) => void;
  #queueSeq = 0;
  #finishSeq = 0;
  #incarnations = 0;
  #leases = 0;
  #memory: Memory;

  constructor(parts: {
    readonly tenants: readonly string[];
    readonly bounds: ReadonlyMap<string, number>;
    readonly upstreams: readonly Upstream[];
    readonly core: TransitionFunction;
    readonly leaseKeeping: LeaseKeeping;
    readonly oracle: Oracle;
    readonly maxAttempts: number;
    readonly jitter: () => number;
    readonly onEffect: (effect: Effect) => void;
  }) {
    this.tenants = parts.tenants;
    this.bounds = parts.bounds;
    this.upstreams = parts.upstreams;
    this.#core = parts.core;
    this.#leaseKeeping = parts.leaseKeeping;
    this.#oracle = parts.oracle;
    this.#maxAttempts = parts.maxAttempts;
    this.#jitter = parts.jitter;
    this.#onEffect = parts.onEffect;
    this.#memory = this.#remember();
  }

  submit(job: Omit<Job, "queueSeq">, inputHash: string): void {
    this.#queueSeq += 1;
    const row = { job: { ...job, queueSeq: this.#queueSeq }, inputHash, hasOutput: false };
    this.rows.set(job.uuid, row);
    add(this.#memory.waiting, job.tenantId, 1);
    this.#oracle.submitted(row.job, inputHash);
  }

  /** Reads the job as it counts, lets the core decide, writes, follows the effects. Undefined: no such job. */
  decide(uuid: string, event: JobEvent): Transition | undefined {
    const found = this.look(uuid);
    if (found === undefined || expiresAtMs(found.job) <= this.nowMs) return undefined;
    const before = found.job;
    const context = this.#context(this.nowMs, before);
    const result = this.#core(before, event, context);
    this.#oracle.decided({ before, event, context, result });
    if (event.kind === "retry" && result.reply === "done") this.#copyOwed(before);
    if (result.job !== before) this.#write(found, result, event);
    for (const effect of result.effects) this.#onEffect(effect);
    return result;
  }

  look(uuid: string): Row | undefined {
    const row = this.rows.get(uuid);
    if (row === undefined) return undefined;
    const { job } = row;
    const purge = this.#purges.find(({ tenantId, through }) => tenantId === job.tenantId && job.queueSeq <= through);
    if (purge !== undefined && job.status === "IN_QUEUE") {
      return { ...row, job: this.#core(job, { kind: "cancel" }, this.#context(purge.atMs, job)).job };
    }
    const lease = this.#memory.leases.get(uuid);
    return job.lease === null || lease === undefined ? row : { ...row, job: { ...job, lease } };
  }

  /** Leases ready jobs in the fair order while slots are free; `choose` picks among the upstreams with room. */
  startReady(choose: (free: readonly Upstream[]) => Upstream, open: (upstreamId: string) => boolean): string[] {
    const started: string[] = [];
    this.#bringInOrder();
    for (;;) {
      const free = this.upstreams.filter((one) => (this.#memory.busy.get(one.id) ?? 0) < one.slots && open(one.id));
      const uuid = free.length === 0 ? undefined : this.#memory.fair.next(this.nowMs);
      if (uuid === undefined) return started;
      const result = this.decide(uuid, { kind: "start", lease: this.#lease(choose(free)) });
      if (result?.reply === "done") started.push(uuid);
      this.#leaveOrder(uuid);
    }
  }

  /** Brings the order in step with the jobs: waits end by time, too. */
  #bringInOrder(): void {
    const { fair, inOrder } = this.#memory;
    for (const uuid of [...inOrder.keys()]) this.#leaveOrder(uuid);
    for (const uuid of this.rows.keys()) {
      const job = this.look(uuid)?.job;
      if (job === undefined || job.status !== "IN_QUEUE" || job.notBeforeMs > this.nowMs) continue;
      inOrder.set(uuid, job);
      fair.add(job.tenantId, uuid, job.lowPriority, this.nowMs);
    }
  }

  #leaveOrder(uuid: string): void {
    const { fair, inOrder } = this.#memory;
    const job = inOrder.get(uuid);
    if (job === undefined) return;
    inOrder.delete(uuid);
    fair.remove(job.tenantId, uuid, job.lowPriority);
  }

  /** A start out of turn, as from an index that is behind: the core must not rely on being asked rightly. */
  strayStart(uuid: string, upstream: Upstream): void {
    // Only of the status may it be behind: what a tenant runs it counts itself.
    if (this.#memory.fair.boundReached(this.rows.get(uuid)?.job.tenantId ?? "") !== null) return;
    this.decide(uuid, { kind: "start", lease: this.#lease(upstream) });
  }

  finish(uuid: string, token: string, outcome: AttemptOutcome): boolean {
    return this.decide(uuid, { kind: "finish", token, outcome })?.reply === "done";
  }

  purge(tenantId: string): void {
    this.#purges.push({ tenantId, through: this.#queueSeq, atMs: this.nowMs });
    this.#memory.waiting.set(tenantId, 0);
    this.#oracle.purged(tenantId, this.nowMs);
  }

  /** Everything that is due by time, at most `max` rows; then rows whose retention ended and that owe nothing. */
  alarm(max: number): void {
    let handled = 0;
    for (const uuid of [...this.rows.keys()]) {
      const job = this.look(uuid)?.job;
      if (job === undefined) continue;
      if (dueAtMs(job, this.nowMs) <= this.nowMs && handled < max) {
        handled += 1;
        this.decide(uuid, { kind: "time" });
      } else if (expiresAtMs(job) <= this.nowMs && (job.finishSeq ?? 0) <= this.#posted(job.tenantId)) {
        this.rows.delete(uuid);
      }
    }
  }

  /** The object starts anew: memory is rebuilt from rows. */
  restart(): void {
    this.#memory = this.#remember();
    this.#oracle.restarted(this.nowMs);
  }

  /** Lines past the posted position, in order of their finish. */
  owedLines(tenantId: string): Line[] {
    const through = this.#posted(tenantId);
    const lines = this.owed.filter((line) => line.tenantId === tenantId && line.finishSeq > through);
    for (const { job } of this.rows.values()) {
      if (job.tenantId === tenantId && job.finishSeq !== null && job.finishSeq > through && job.bill !== null) {
        lines.push({ finishSeq: job.finishSeq, tenantId, source: job.uuid, bill: job.bill });
      }
    }
    return lines.sort((left, right) => left.finishSeq - right.finishSeq);
  }

  posted(tenantId: string, through: number): void {
    this.postedThrough.set(tenantId, through);
    this.owed = this.owed.filter((line) => line.tenantId !== tenantId || line.finishSeq > through);
  }

  depth(tenantId: string): { readonly waiting: number; readonly running: number } {
    return { waiting: this.#memory.waiting.get(tenantId) ?? 0, running: this.#memory.running.get(tenantId) ?? 0 };
  }

  #posted(tenantId: string): number {
    return this.postedThrough.get(tenantId) ?? 0;
  }

  /** A pulling worker said something, whatever it was. */
  heard(upstreamId: string): void {
    this.#memory.seenAtMs.set(upstreamId, this.nowMs);
  }

  #context(nowMs: number, job: Job): Context {
    return {
      nowMs,
      maxAttempts: this.#maxAttempts,
      incarnation: this.#memory.incarnation,
      workerSeenAtMs: this.#memory.seenAtMs.get(job.lease?.holderId ?? "") ?? 0,
      nextQueueSeq: this.#queueSeq + 1,
      nextFinishSeq: this.#finishSeq + 1,
      jitter: this.#jitter(),
    };
  }

  #lease(upstream: Upstream): Lease {
    this.#leases += 1;
    return {
      token: `lease-${this.#leases}`,
      holderId: upstream.id,
      tier: "A4000",
      rateKind: upstream.rateKind,
      slots: upstream.slots,
      nanodollarsPerSecond: upstream.nanodollarsPerSecond,
      startedAtMs: this.nowMs,
      // Every second lease that is pushed is on an upstream with a queue of its own.
      ...(!upstream.pulls && this.#leases % 2 === 0 ? { ranFromMs: null } : {}),
      untilMs: this.nowMs + (upstream.pulls ? WORKER_LEASE_MS : LEASE_MS),
      graceUntilMs: 0,
      workerKeyId: upstream.pulls ? "key" : null,
      byClient: !upstream.pulls && this.#leases % 3 === 0,
      incarnation: this.#memory.incarnation,
    };
  }

  #copyOwed({ bill, finishSeq, tenantId, uuid }: Job): void {
    if (bill === null || finishSeq === null || finishSeq <= this.#posted(tenantId)) return;
    this.owed.push({ finishSeq, tenantId, source: uuid, bill });
  }

  #write(found: Row, result: Transition, event: JobEvent): void {
    const before = found.job;
    const { job } = result;
    if (job.lease !== null) this.#memory.leases.set(job.uuid, job.lease);
    else this.#memory.leases.delete(job.uuid);
    if (this.#leaseKeeping.staysInMemory(event, before, job)) return;
    let { hasOutput } = found;
    for (const effect of result.effects) if (effect.kind === "keep_output") hasOutput = effect.output !== null;
    this.rows.set(job.uuid, { ...found, job, hasOutput });
    this.#queueSeq = Math.max(this.#queueSeq, job.queueSeq);
    this.#finishSeq = Math.max(this.#finishSeq, job.finishSeq ?? 0);
    count(this.#memory, before, -1);
    count(this.#memory, job, 1);
    const { fair } = this.#memory;
    if (before.lease === null && job.lease !== null) fair.noteStart(job.tenantId, job.lease.startedAtMs);
    if (before.lease !== null && job.lease === null) {
      fair.noteEnd(job.tenantId, before.lease.startedAtMs, this.nowMs - before.lease.startedAtMs);
    }
  }

  #remember(): Memory {
    this.#incarnations += 1;
    const memory: Memory = {
      incarnation: `object-${this.#incarnations}`,
      leases: new Map(),
      waiting: new Map(),
      running: new Map(),
      busy: new Map(),
      seenAtMs: new Map(),
      fair: new FairOrder(),
      inOrder: new Map(),
    };
    this.#memory = memory;
    for (const [tenantId, runningMax] of this.bounds) memory.fair.bound(tenantId, runningMax, this.nowMs);
    const graces = this.#leaseKeeping.graces(this.#graces);
    for (const uuid of this.rows.keys()) {
      const job = this.look(uuid)?.job;
      if (job === undefined) continue;
      count(memory, job, 1);
      if (job.lease === null) continue;
      memory.leases.set(uuid, graces.resume(job.lease, this.nowMs));
      memory.fair.noteStart(job.tenantId, job.lease.startedAtMs);
    }
    this.#graces = graces.toStore() ?? this.#graces;
    return memory;
  }
}

function add(counts: Map<string, number>, key: string, change: number): void {
  counts.set(key, (counts.get(key) ?? 0) + change);
}

function count(memory: Memory, job: Job, change: number): void {
  if (job.status === "IN_QUEUE") add(memory.waiting, job.tenantId, change);
  if (job.status === "IN_PROGRESS") add(memory.running, job.tenantId, change);
  if (job.lease !== null) add(memory.busy, job.lease.holderId, change);
}
