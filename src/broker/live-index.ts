// The memory of a broker over its live jobs: order, deadlines, counters. Rebuilt from rows at each start of the object,
// and changed only after a transaction has returned. It decides nothing: rows and core do.
import { DueOrder } from "../core/due-order.ts";
import { FairOrder } from "../core/fair-order.ts";
import { dueAtMs, isRunning, isTerminal, isWaiting, type Job, type JobStatus } from "../core/job.ts";
import { WebhookSchedule } from "../core/webhook-schedule.ts";

/** What the index keeps of one job. */
interface Entry {
  readonly tenantId: string;
  readonly lowPriority: boolean;
  status: JobStatus;
  dueAtMs: number;
  /** Not offered to `next` before; in memory only when a resumed job waits for its own upstream. */
  notBeforeMs: number;
  inOrder: boolean;
  upstreamId: string | null;
  leaseUntilMs: number;
  leaseIncarnation: string;
  /** The newest finish that is not posted. */
  finishSeq: number | null;
  owesWebhook: boolean;
  webhookHost: string | null;
  /** An upstream may still run it: a purge must tell it to stop. */
  resumes: boolean;
}

interface TenantCounts {
  waiting: number;
  running: number;
  webhooksOwed: number;
}

export class LiveIndex {
  readonly #entries = new Map<string, Entry>();
  readonly #fair = new FairOrder();
  /** The webhooks of these jobs by their uuids; the outbox adds those that a retry has moved. */
  readonly webhooks = new WebhookSchedule();
  #due = new DueOrder();
  readonly #parked = new Set<string>();
  readonly #counts = new Map<string, TenantCounts>();
  /** Running jobs by whose slot they have. */
  readonly #holding = new Map<string, Set<string>>();
  /** Jobs that owe a line, apart: a backlog of 100,000 must not be walked for them. */
  readonly #owing = new Set<string>();

  get size(): number {
    return this.#entries.size;
  }

  has(uuid: string): boolean {
    return this.#entries.has(uuid);
  }

  counts(tenantId: string): Readonly<TenantCounts> {
    return this.#counts.get(tenantId) ?? { waiting: 0, running: 0, webhooksOwed: 0 };
  }

  /** The job as memory knows it better than its row: renewals of a lease are not written. */
  withMemory(job: Job): Job {
    const entry = this.#entries.get(job.uuid);
    if (entry === undefined || job.lease === null) return job;
    const untilMs = Math.max(entry.leaseUntilMs, job.lease.untilMs);
    return { ...job, lease: { ...job.lease, untilMs, incarnation: entry.leaseIncarnation } };
  }

  /** Takes over the state of a job after its row was written. Forgets it when it neither lives nor owes. */
  put(job: Job, posted: number, webhookHost: string | null, nowMs: number): void {
    const before = this.#entries.get(job.uuid);
    if (before !== undefined) this.#leave(job.uuid, before);
    const live = !isTerminal(job.status);
    const owesLine = job.finishSeq !== null && job.finishSeq > posted;
    const owesWebhook = job.webhook !== null && job.webhook.nextAtMs !== null;
    this.#planWebhook(job, webhookHost ?? before?.webhookHost ?? null);
    if (!live && !owesLine && !owesWebhook) {
      this.#entries.delete(job.uuid);
      return;
    }
    const entry: Entry = {
      tenantId: job.tenantId,
      lowPriority: job.lowPriority,
      status: job.status,
      dueAtMs: dueAtMs(job, nowMs),
      notBeforeMs: job.notBeforeMs,
      inOrder: false,
      upstreamId: job.lease?.upstreamId ?? null,
      leaseUntilMs: job.lease?.untilMs ?? 0,
      leaseIncarnation: job.lease?.incarnation ?? "",
      finishSeq: owesLine ? job.finishSeq : null,
      owesWebhook,
      webhookHost: webhookHost ?? before?.webhookHost ?? null,
      resumes: job.upstreamJob !== null,
    };
    this.#entries.set(job.uuid, entry);
    if (owesLine) this.#owing.add(job.uuid);
    this.#enter(job.uuid, entry, nowMs);
    this.#pushDue(job.uuid, entry.dueAtMs);
  }

  /** The next job that may start at this moment; it stays where it is. */
  next(nowMs: number): string | undefined {
    return this.#fair.next(nowMs);
  }

  /** Takes a waiting job out of the order until a time, in memory only. */
  holdBack(uuid: string, untilMs: number): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined) return;
    if (entry.inOrder) this.#fair.remove(entry.tenantId, uuid, entry.lowPriority);
    entry.inOrder = false;
    entry.notBeforeMs = untilMs;
    entry.dueAtMs = Math.min(entry.dueAtMs, untilMs);
    this.#pushDue(uuid, entry.dueAtMs);
  }

  /** As holdBack, for a job that may start once a slot of another upstream is free: `unpark` gives it back then. */
  park(uuid: string, untilMs: number): void {
    this.holdBack(uuid, untilMs);
    this.#parked.add(uuid);
  }

  /** A slot is free: the job that is parked longest enters the order again. */
  unpark(nowMs: number): void {
    const [uuid] = this.#parked;
    if (uuid === undefined) return;
    this.#parked.delete(uuid);
    const entry = this.#entries.get(uuid);
    if (entry === undefined || entry.inOrder || !isWaiting(entry.status)) return;
    entry.notBeforeMs = 0;
    entry.inOrder = true;
    this.#fair.add(entry.tenantId, uuid, entry.lowPriority, nowMs);
  }

  noteStart(tenantId: string, startedAtMs: number): void {
    this.#fair.noteStart(tenantId, startedAtMs);
  }

  noteEnd(tenantId: string, startedAtMs: number, nowMs: number): void {
    this.#fair.noteEnd(tenantId, startedAtMs, nowMs - startedAtMs);
  }

  position(job: Job): number {
    return this.#fair.position(job.tenantId, job.uuid, job.lowPriority);
  }

  hasReady(): boolean {
    return !this.#fair.isEmpty;
  }

  /** Jobs that hold a slot of an upstream or a pulling worker. */
  runningOn(slotsId: string): readonly string[] {
    return [...(this.#holding.get(slotsId) ?? [])];
  }

  /** Waiting jobs of a tenant, for a purge. `resumes`: an upstream may still run it. */
  waitingOf(tenantId: string): { readonly uuid: string; readonly resumes: boolean }[] {
    const waiting: { uuid: string; resumes: boolean }[] = [];
    for (const [uuid, { tenantId: owner, status, resumes }] of this.#entries) {
      if (owner === tenantId && isWaiting(status)) waiting.push({ uuid, resumes });
    }
    return waiting;
  }

  forget(uuid: string): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined) return;
    this.webhooks.drop(uuid);
    this.#leave(uuid, entry);
    this.#entries.delete(uuid);
  }

  /** Earliest deadline of a live job, epoch ms; Infinity when there is none. */
  nextDueAtMs(): number {
    this.#dropStaleDue();
    return this.#due.peek()?.atMs ?? Number.POSITIVE_INFINITY;
  }

  /** Takes the next job whose time has come. The caller gives it back by `put`. */
  takeDue(nowMs: number): string | undefined {
    this.#dropStaleDue();
    const due = this.#due.peek();
    if (due === undefined || due.atMs > nowMs) return undefined;
    this.#due.pop();
    const entry = this.#entries.get(due.uuid);
    // Taken once: a job that stays as it is must not come up again at the same time for ever.
    if (entry !== undefined) entry.dueAtMs = Number.POSITIVE_INFINITY;
    return due.uuid;
  }

  /** Finishes whose lines are not posted, by tenant, oldest first. */
  unposted(): Map<string, { readonly finishSeq: number; readonly uuid: string }[]> {
    const byTenant = new Map<string, { finishSeq: number; uuid: string }[]>();
    for (const [uuid, entry] of this.#owingEntries()) {
      if (entry.finishSeq === null) continue;
      const list = byTenant.get(entry.tenantId) ?? [];
      list.push({ finishSeq: entry.finishSeq, uuid });
      byTenant.set(entry.tenantId, list);
    }
    for (const list of byTenant.values()) list.sort((a, b) => a.finishSeq - b.finishSeq);
    return byTenant;
  }

  *#owingEntries(): Generator<[string, Entry]> {
    for (const uuid of this.#owing) {
      const entry = this.#entries.get(uuid);
      if (entry !== undefined) yield [uuid, entry];
    }
  }

  #planWebhook(job: Job, host: string | null): void {
    const atMs = job.webhook?.nextAtMs ?? null;
    if (atMs === null) this.webhooks.drop(job.uuid);
    else this.webhooks.plan(job.uuid, host ?? "", atMs);
  }

  #pushDue(uuid: string, atMs: number): void {
    this.#due.push({ atMs, uuid });
    if (!this.#due.isMostlyStale(this.#entries.size)) return;
    this.#due = new DueOrder();
    for (const [each, entry] of this.#entries) this.#due.push({ atMs: entry.dueAtMs, uuid: each });
  }

  #dropStaleDue(): void {
    for (let due = this.#due.peek(); due !== undefined; due = this.#due.peek()) {
      if (this.#entries.get(due.uuid)?.dueAtMs === due.atMs) return;
      this.#due.pop();
    }
  }

  #enter(uuid: string, entry: Entry, nowMs: number): void {
    const counts = this.#countsOf(entry.tenantId);
    if (entry.owesWebhook) counts.webhooksOwed += 1;
    if (isRunning(entry.status)) counts.running += 1;
    if (entry.upstreamId !== null) this.#hold(uuid, entry.upstreamId);
    if (!isWaiting(entry.status)) return;
    counts.waiting += 1;
    entry.inOrder = entry.notBeforeMs <= nowMs;
    if (entry.inOrder) this.#fair.add(entry.tenantId, uuid, entry.lowPriority, nowMs);
  }

  #leave(uuid: string, entry: Entry): void {
    this.#owing.delete(uuid);
    this.#parked.delete(uuid);
    const counts = this.#countsOf(entry.tenantId);
    if (entry.owesWebhook) counts.webhooksOwed -= 1;
    if (isRunning(entry.status)) counts.running -= 1;
    if (entry.upstreamId !== null) this.#letGo(uuid, entry.upstreamId);
    if (!isWaiting(entry.status)) return;
    counts.waiting -= 1;
    if (entry.inOrder) this.#fair.remove(entry.tenantId, uuid, entry.lowPriority);
  }

  #hold(uuid: string, slotsId: string): void {
    const held = this.#holding.get(slotsId) ?? new Set();
    held.add(uuid);
    this.#holding.set(slotsId, held);
  }

  #letGo(uuid: string, slotsId: string): void {
    const held = this.#holding.get(slotsId);
    held?.delete(uuid);
    if (held?.size === 0) this.#holding.delete(slotsId);
  }

  #countsOf(tenantId: string): TenantCounts {
    let counts = this.#counts.get(tenantId);
    if (counts === undefined) {
      counts = { waiting: 0, running: 0, webhooksOwed: 0 };
      this.#counts.set(tenantId, counts);
    }
    return counts;
  }
}
