// What a broker keeps in memory of its live jobs: order, deadlines, counters. It is rebuilt from rows at each start of
// the object, and changed only after a transaction has returned. It decides nothing: rows and core do.

import { firstUuidAt, timeOfUuid } from "../../core/job/id.ts";
import { dueAtMs, isRunning, isTerminal, isWaiting, type Job, type JobStatus, type Lease } from "../../core/job/job.ts";
import { OwedFinishes } from "../../core/job/owed-finishes.ts";
import { DueOrder } from "../../core/scheduling/due-order.ts";
import { FairOrder } from "../../core/scheduling/fair-order.ts";
import { LIVE_LINE_BYTES, liveJobBytes } from "../../core/scheduling/live-bytes.ts";
import { WebhookSchedule } from "../../core/scheduling/webhook-schedule.ts";
import { type LiveTenant, LiveTenants } from "./live-tenants.ts";

/** What the index keeps of one job. 200,000 entries must fit into 64 MB, so each field counts. */
interface Entry {
  /** The one string that all places which name the job share. */
  readonly uuid: string;
  readonly tenant: LiveTenant;
  readonly lowPriority: boolean;
  status: JobStatus;
  dueAtMs: number;
  inOrder: boolean;
  readonly lease: HeldLease | null;
  /** The number of the newest finish, while its usage line is not posted; null: no line is owed. */
  finishSeq: number | null;
  /** The host that is owed a webhook now; null: none is. */
  readonly owedHost: string | null;
  /** True: an upstream may still run the job, so a purge must ask it to stop. */
  readonly resumes: boolean;
}

/** The fields of a running job's lease that may be newer in memory than in its row. */
interface HeldLease extends Pick<Lease, "untilMs" | "graceUntilMs" | "incarnation"> {
  readonly holder: Holder;
}

/** A job that a purge has cancelled. `resumes`: an upstream may still run it. */
export type PurgedEntry = Pick<Entry, "uuid" | "resumes">;

/** An upstream or a pulling worker, which gives slots, and the jobs that have one of them. */
interface Holder {
  readonly holderId: string;
  readonly uuids: Set<string>;
}

export class LiveIndex {
  readonly #entries = new Map<string, Entry>();
  readonly #fair = new FairOrder();
  /** The webhooks of these jobs by their uuids; the outbox adds those that a retry has moved. */
  readonly webhooks = new WebhookSchedule();
  /** Usage lines that are not posted: those of these jobs, and those that stand in no job's row. */
  readonly unposted = new OwedFinishes();
  #due = new DueOrder();
  readonly #parked = new Set<string>();
  /** Jobs that a purge has cancelled and whose entries are not removed yet. */
  readonly #purged = new Set<string>();
  readonly #tenants = new LiveTenants();
  /** Running jobs by the holder of the slot that they have. */
  readonly #holders = new Map<string, Holder>();
  /** Nearly all leases are of one start of the object, so they share the string that names it. */
  #incarnation = "";
  #jobsBytes = 0;
  #unended = 0;

  get size(): number {
    return this.#entries.size;
  }

  /** Upper bound of the memory that all this takes, bytes, by what each job was measured to take. */
  get bytes(): number {
    return this.#jobsBytes + this.#tenants.bytes + this.unposted.size * LIVE_LINE_BYTES;
  }

  has(uuid: string): boolean {
    return this.#entries.has(uuid);
  }

  /** The number of jobs that live or owe something; a job that a purge has cancelled does neither. */
  get live(): number {
    return this.#entries.size - this.#purged.size;
  }

  /** The number of jobs that wait or run. */
  get unended(): number {
    return this.#unended;
  }

  /** Yields the jobs that wait or run, running ones first. Jobs may change meanwhile: one that has ended may be yielded. */
  *unendedJobs(): Generator<string> {
    for (const { uuids } of [...this.#holders.values()]) yield* [...uuids];
    for (const { uuid, status } of this.#entries.values()) if (isWaiting(status) || isRunning(status)) yield uuid;
  }

  isLive(uuid: string): boolean {
    return this.#entries.has(uuid) && !this.#purged.has(uuid);
  }

  counts(tenantId: string): Readonly<Pick<LiveTenant, "waiting" | "running" | "webhooksOwed">> {
    return this.#tenants.get(tenantId) ?? { waiting: 0, running: 0, webhooksOwed: 0 };
  }

  /** The same of all tenants together. */
  countsOfAll(): Readonly<Pick<LiveTenant, "waiting" | "running">> {
    const sums = { waiting: 0, running: 0 };
    for (const { waiting, running } of this.#tenants.all()) {
      sums.waiting += waiting;
      sums.running += running;
    }
    return sums;
  }

  /** Returns the job with what is newer in memory than in its row: most renewals of a lease are not written. */
  withMemory(job: Job): Job {
    const held = this.#entries.get(job.uuid)?.lease ?? null;
    if (held === null || job.lease === null) return job;
    const untilMs = Math.max(held.untilMs, job.lease.untilMs);
    const { graceUntilMs, incarnation } = held;
    return { ...job, lease: { ...job.lease, untilMs, graceUntilMs, incarnation } };
  }

  /** Takes over the state of a job after its row was written. Forgets the job when it neither lives nor owes. */
  put(job: Job, posted: number, webhookHost: string | null, nowMs: number): void {
    const before = this.#entries.get(job.uuid);
    const uuid = before?.uuid ?? job.uuid;
    const owesLine = job.finishSeq !== null && job.finishSeq > posted;
    const owesWebhook = job.webhook !== null && job.webhook.nextAtMs !== null;
    const finishSeq = owesLine ? job.finishSeq : null;
    const isKept = !isTerminal(job.status) || owesLine || owesWebhook;
    this.#noteLine(uuid, job, before?.finishSeq ?? null, finishSeq);
    // The new entry is counted before the old one is removed, so that tenant and receiver are not dropped.
    const tenant = this.#tenants.enter(job.tenantId);
    const host = owesWebhook ? (webhookHost ?? before?.owedHost ?? "") : null;
    const owedHost = this.#tenants.enterHost(tenant, host);
    if (before !== undefined) this.#leave(before);
    this.#planWebhook(uuid, job, owedHost);
    if (!isKept) {
      this.#entries.delete(uuid);
      this.#tenants.leave(tenant, owedHost);
      return;
    }
    const entry: Entry = {
      uuid,
      tenant,
      lowPriority: job.lowPriority,
      status: job.status,
      dueAtMs: dueAtMs(job, nowMs),
      inOrder: isWaiting(job.status) && job.notBeforeMs <= nowMs,
      lease: job.lease === null ? null : this.#heldLease(job.lease),
      finishSeq,
      owedHost,
      resumes: job.upstreamJob !== null,
    };
    this.#entries.set(uuid, entry);
    this.#enter(entry, nowMs);
    this.#pushDue(uuid, entry.dueAtMs);
  }

  /** The line of this finish is posted: the job is forgotten when it owes nothing else. */
  posted(uuid: string, finishSeq: number): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined || entry.finishSeq !== finishSeq) return;
    entry.finishSeq = null;
    if (!isTerminal(entry.status) || entry.owedHost !== null) return;
    this.#leave(entry);
    this.#entries.delete(uuid);
  }

  /** Returns the next job that may start at this moment, and leaves it in the order. */
  next(nowMs: number): string | undefined {
    return this.#fair.next(nowMs);
  }

  /** Takes a waiting job out of the order until a time, in memory only. */
  holdBack(uuid: string, untilMs: number): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined) return;
    if (entry.inOrder) this.#fair.remove(entry.tenant.tenantId, entry.uuid, entry.lowPriority);
    entry.inOrder = false;
    entry.dueAtMs = Math.min(entry.dueAtMs, untilMs);
    this.#pushDue(entry.uuid, entry.dueAtMs);
  }

  /** As holdBack, for a job that may start once a slot of another upstream is free: `unpark` gives it back then. */
  park(uuid: string, untilMs: number): void {
    this.holdBack(uuid, untilMs);
    const entry = this.#entries.get(uuid);
    if (entry !== undefined) this.#parked.add(entry.uuid);
  }

  /** A slot is free: the job that is parked longest enters the order again. */
  unpark(nowMs: number): void {
    const [uuid] = this.#parked;
    if (uuid === undefined) return;
    this.#parked.delete(uuid);
    const entry = this.#entries.get(uuid);
    if (entry === undefined || entry.inOrder || !isWaiting(entry.status)) return;
    entry.inOrder = true;
    this.#fair.add(entry.tenant.tenantId, entry.uuid, entry.lowPriority, nowMs);
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

  bound(tenantId: string, runningMax: number | null, nowMs: number): void {
    this.#fair.bound(tenantId, runningMax, nowMs);
  }

  /** The bound that keeps further jobs of the tenant from starting now; null: none does. */
  boundReached(tenantId: string): number | null {
    return this.#fair.boundReached(tenantId);
  }

  /** Does a job wait that may start? */
  hasReady(): boolean {
    return !this.#fair.isEmpty;
  }

  /**
   * Jobs that could start now if there were slots enough, those of low priority apart, and those of them that are older than a time,
   * epoch ms.
   */
  startable(olderThanMs: number): { readonly waiting: number; readonly overdue: number } {
    const waiting = this.#fair.startable;
    return { waiting, overdue: waiting === 0 ? 0 : this.#fair.startableBefore(firstUuidAt(olderThanMs)) };
  }

  /** When the oldest of them from a time on was made, epoch ms; Infinity: there is none. */
  oldestStartableAtMs(fromMs: number): number {
    const oldest = this.#fair.startable === 0 ? undefined : this.#fair.oldestStartable(firstUuidAt(fromMs));
    return oldest === undefined ? Number.POSITIVE_INFINITY : timeOfUuid(oldest);
  }

  /** Is there another ready job beside this one? */
  hasOtherReady({ tenantId }: Job): boolean {
    return this.#fair.hasOthers(tenantId);
  }

  /** Jobs that hold a slot of an upstream or a pulling worker. */
  runningOn(holderId: string): readonly string[] {
    return [...(this.#holders.get(holderId)?.uuids ?? [])];
  }

  /** Takes the jobs of a tenant that a purge has cancelled out of order and counts. The caller forgets each of them. */
  cancelWaiting(tenantId: string): PurgedEntry[] {
    const tenant = this.#tenants.get(tenantId);
    if (tenant === undefined || tenant.waiting === 0) return [];
    const purged: PurgedEntry[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.tenant !== tenant || !isWaiting(entry.status)) continue;
      this.#jobsBytes -= liveJobBytes(entry);
      entry.status = "CANCELLED";
      entry.inOrder = false;
      this.#jobsBytes += liveJobBytes(entry);
      this.#parked.delete(entry.uuid);
      this.#purged.add(entry.uuid);
      purged.push(entry);
    }
    this.#fair.removeAll(tenantId);
    tenant.waiting -= purged.length;
    this.#unended -= purged.length;
    return purged;
  }

  /** Forgets a job that a purge has cancelled, unless it has been put anew meanwhile. */
  forgetPurged(uuid: string): void {
    if (this.#purged.has(uuid)) this.forget(uuid);
  }

  forget(uuid: string): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined) return;
    this.webhooks.drop(uuid);
    if (entry.finishSeq !== null) this.unposted.remove(entry.tenant.tenantId, entry.finishSeq);
    this.#leave(entry);
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
    // A job is taken once: a job that does not change must not come up again at the same time for ever.
    if (entry !== undefined) entry.dueAtMs = Number.POSITIVE_INFINITY;
    return due.uuid;
  }

  /** Brings `unposted` in step with the line of the job's finish before, and with that of the newest one. */
  #noteLine(uuid: string, { tenantId }: Job, before: number | null, finishSeq: number | null): void {
    if (before === finishSeq) return;
    // A retry has wiped that line from the job's row, and has stored it in a row of its own.
    if (before !== null) this.unposted.moveOut(tenantId, before);
    if (finishSeq !== null) this.unposted.add(tenantId, { finishSeq, uuid });
  }

  #planWebhook(uuid: string, job: Job, host: string | null): void {
    const atMs = job.webhook?.nextAtMs ?? null;
    if (atMs === null) this.webhooks.drop(uuid);
    else this.webhooks.plan(uuid, { tenantId: job.tenantId, host: host ?? "" }, atMs);
  }

  #heldLease({ holderId, untilMs, graceUntilMs, incarnation }: Lease): HeldLease {
    let holder = this.#holders.get(holderId);
    if (holder === undefined) {
      holder = { holderId, uuids: new Set() };
      this.#holders.set(holderId, holder);
    }
    if (this.#incarnation !== incarnation) this.#incarnation = incarnation;
    return { holder, untilMs, graceUntilMs, incarnation: this.#incarnation };
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

  #enter(entry: Entry, nowMs: number): void {
    const { uuid, tenant } = entry;
    this.#jobsBytes += liveJobBytes(entry);
    if (entry.owedHost !== null) tenant.webhooksOwed += 1;
    if (!isTerminal(entry.status)) this.#unended += 1;
    if (isRunning(entry.status)) tenant.running += 1;
    entry.lease?.holder.uuids.add(uuid);
    if (!isWaiting(entry.status)) return;
    tenant.waiting += 1;
    if (entry.inOrder) this.#fair.add(tenant.tenantId, uuid, entry.lowPriority, nowMs);
  }

  #leave(entry: Entry): void {
    const { uuid, tenant } = entry;
    this.#jobsBytes -= liveJobBytes(entry);
    this.#parked.delete(uuid);
    this.#purged.delete(uuid);
    if (entry.owedHost !== null) tenant.webhooksOwed -= 1;
    if (!isTerminal(entry.status)) this.#unended -= 1;
    if (isRunning(entry.status)) tenant.running -= 1;
    if (entry.lease !== null) this.#letGo(uuid, entry.lease.holder);
    if (isWaiting(entry.status)) {
      tenant.waiting -= 1;
      if (entry.inOrder) this.#fair.remove(tenant.tenantId, uuid, entry.lowPriority);
    }
    this.#tenants.leave(tenant, entry.owedHost);
  }

  #letGo(uuid: string, { holderId, uuids }: Holder): void {
    uuids.delete(uuid);
    if (uuids.size === 0) this.#holders.delete(holderId);
  }
}
