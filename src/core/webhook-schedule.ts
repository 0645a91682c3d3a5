// When each owed webhook is sent: by its time, at most so many in flight to one host, and again when a courier is lost.
// Memory only, over whatever keys its owner uses; what a try means is decided elsewhere.
import { DueOrder } from "./due-order.ts";
import { COURIER_MAX_MS, WEBHOOK_HOST_IN_FLIGHT_MAX } from "./limits.ts";

interface Entry {
  readonly host: string;
  readonly atMs: number;
  /** In flight until its courier is taken for lost; null while it waits. */
  flyingUntilMs: number | null;
}

interface Host {
  /** Keys whose time has come, oldest first. */
  readonly ready: Set<string>;
  inFlight: number;
}

export class WebhookSchedule {
  readonly #entries = new Map<string, Entry>();
  readonly #hosts = new Map<string, Host>();
  #due = new DueOrder();

  /** A webhook is to be sent at a time, epoch ms. The same plan again changes nothing: a courier may be under way. */
  plan(key: string, host: string, atMs: number): void {
    const present = this.#entries.get(key);
    if (present?.atMs === atMs && present.host === host) return;
    this.drop(key);
    this.#entries.set(key, { host, atMs, flyingUntilMs: null });
    this.#push(key, atMs);
  }

  drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    const host = this.#host(entry.host);
    host.ready.delete(key);
    if (entry.flyingUntilMs !== null) host.inFlight -= 1;
    if (host.ready.size === 0 && host.inFlight === 0) this.#hosts.delete(entry.host);
  }

  /** The courier of this one has reported. Until a new plan or a drop it is due again. */
  land(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.flyingUntilMs === null) return;
    entry.flyingUntilMs = null;
    this.#host(entry.host).inFlight -= 1;
    this.#push(key, entry.atMs);
  }

  /** The same webhook under another key, in flight or not. */
  rename(from: string, to: string): void {
    const entry = this.#entries.get(from);
    if (entry === undefined) return;
    const { host, atMs, flyingUntilMs } = entry;
    this.drop(from);
    this.#entries.set(to, { host, atMs, flyingUntilMs });
    if (flyingUntilMs !== null) this.#host(host).inFlight += 1;
    this.#push(to, flyingUntilMs ?? atMs);
  }

  /** Takes what may be sent now: each is in flight until `land`, a new plan, or until its courier is taken for lost. */
  take(nowMs: number): string[] {
    this.#advance(nowMs);
    const taken: string[] = [];
    for (const host of this.#hosts.values()) {
      for (const key of host.ready) {
        if (host.inFlight >= WEBHOOK_HOST_IN_FLIGHT_MAX) break;
        const entry = this.#entries.get(key);
        host.ready.delete(key);
        if (entry === undefined) continue;
        entry.flyingUntilMs = nowMs + COURIER_MAX_MS;
        host.inFlight += 1;
        this.#push(key, entry.flyingUntilMs);
        taken.push(key);
      }
    }
    return taken;
  }

  /** Could one be taken at this moment? */
  hasReady(nowMs: number): boolean {
    this.#advance(nowMs);
    for (const host of this.#hosts.values()) {
      if (host.ready.size > 0 && host.inFlight < WEBHOOK_HOST_IN_FLIGHT_MAX) return true;
    }
    return false;
  }

  /** When to look again, epoch ms: now if one is ready, else the next plan or lost courier; Infinity when nothing is owed. */
  nextAtMs(nowMs: number): number {
    if (this.hasReady(nowMs)) return nowMs;
    for (let due = this.#due.peek(); due !== undefined; due = this.#due.peek()) {
      if (this.#isFresh(due.uuid, due.atMs)) return due.atMs;
      this.#due.pop();
    }
    return Number.POSITIVE_INFINITY;
  }

  #advance(nowMs: number): void {
    for (let due = this.#due.peek(); due !== undefined && due.atMs <= nowMs; due = this.#due.peek()) {
      this.#due.pop();
      const entry = this.#entries.get(due.uuid);
      if (entry === undefined || !this.#isFresh(due.uuid, due.atMs)) continue;
      const host = this.#host(entry.host);
      if (entry.flyingUntilMs !== null) host.inFlight -= 1;
      entry.flyingUntilMs = null;
      host.ready.add(due.uuid);
    }
  }

  #isFresh(key: string, atMs: number): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined || this.#host(entry.host).ready.has(key)) return false;
    return (entry.flyingUntilMs ?? entry.atMs) === atMs;
  }

  #push(key: string, atMs: number): void {
    this.#due.push({ uuid: key, atMs });
    if (!this.#due.isMostlyStale(this.#entries.size)) return;
    this.#due = new DueOrder();
    for (const [each, entry] of this.#entries) {
      if (!this.#host(entry.host).ready.has(each))
        this.#due.push({ uuid: each, atMs: entry.flyingUntilMs ?? entry.atMs });
    }
  }

  #host(name: string): Host {
    let host = this.#hosts.get(name);
    if (host === undefined) {
      host = { ready: new Set(), inFlight: 0 };
      this.#hosts.set(name, host);
    }
    return host;
  }
}
