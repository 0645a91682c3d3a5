// When each owed webhook is sent: by its time, and again when a sender is lost. At most so many are in flight of one tenant to
// one host, so many in all, and so many bytes; where that is scarce, tenants take turns, and the hosts of each tenant do too.
// Memory only, over whatever keys its owner uses; what a try means is decided elsewhere.

import {
  WEBHOOK_HOST_IN_FLIGHT_MAX,
  WEBHOOK_PAYLOAD_MAX_BYTES,
  WEBHOOK_SEND_MAX_MS,
  WEBHOOKS_IN_FLIGHT_MAX,
  WEBHOOKS_IN_FLIGHT_MAX_BYTES,
} from "../limits.ts";
import { DueOrder } from "./due-order.ts";

/** Whose webhook it is, and where it goes. */
export interface WebhookTarget {
  readonly tenantId: string;
  readonly host: string;
}

interface Entry extends WebhookTarget {
  readonly atMs: number;
  /** Its time has come, and it waits for its turn. */
  isReady: boolean;
  /** In flight until its sender is taken for lost; null while it waits. */
  flyingUntilMs: number | null;
  /** What its sender holds. */
  bytes: number;
}

/** The webhooks of one tenant to one host. */
interface Lane {
  /** Keys whose time has come, oldest first. */
  readonly ready: Set<string>;
  inFlight: number;
}

interface Tenant {
  readonly lanes: Map<string, Lane>;
  /** Hosts of lanes that may send one more, whose turn it is first. */
  readonly open: Set<string>;
  inFlight: number;
  bytes: number;
}

/** Those that fall due together are sorted in by and by: after an outage there may be 200,000 of them. */
const ADVANCED_AT_ONCE_MAX = 1_000;

export class WebhookSchedule {
  readonly #entries = new Map<string, Entry>();
  readonly #tenants = new Map<string, Tenant>();
  /** Tenants with an open lane, whose turn it is first. */
  readonly #open = new Set<string>();
  #inFlight = 0;
  #bytes = 0;
  #due = new DueOrder();

  /** A webhook is to be sent at a time, epoch ms. The same plan again changes nothing: a sender may be under way. */
  plan(key: string, { tenantId, host }: WebhookTarget, atMs: number): void {
    const present = this.#entries.get(key);
    if (present?.atMs === atMs && present.host === host && present.tenantId === tenantId) return;
    this.drop(key);
    this.#entries.set(key, { tenantId, host, atMs, isReady: false, flyingUntilMs: null, bytes: 0 });
    this.#push(key, atMs);
  }

  drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#endFlight(entry);
    this.#entries.delete(key);
    if (entry.isReady) this.#lane(entry).ready.delete(key);
    this.#settle(entry);
  }

  /** The sender of this one has reported. Until a new plan or a drop it is due again. */
  land(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.flyingUntilMs === null) return;
    this.#endFlight(entry);
    this.#settle(entry);
    this.#push(key, entry.atMs);
  }

  /** The same webhook under another key, in flight or not. */
  rename(from: string, to: string): void {
    const entry = this.#entries.get(from);
    if (entry === undefined) return;
    const { flyingUntilMs, bytes, atMs } = entry;
    this.drop(from);
    const renamed = { ...entry, isReady: false, flyingUntilMs: null, bytes: 0 };
    this.#entries.set(to, renamed);
    if (flyingUntilMs !== null) {
      this.#beginFlight(renamed, flyingUntilMs);
      this.weigh(to, bytes);
    }
    this.#push(to, flyingUntilMs ?? atMs);
  }

  /** Takes one that may be sent now: it is in flight until `land`, a new plan, or until its sender is taken for lost. */
  take(nowMs: number): string | undefined {
    this.#advance(nowMs);
    const entry = this.#next();
    if (entry === undefined) return undefined;
    const { tenantId, host } = entry;
    const { ready } = this.#lane(entry);
    const [key] = ready;
    if (key === undefined) return undefined;
    ready.delete(key);
    const taken = this.#entries.get(key);
    if (taken === undefined) throw new Error("a webhook that waits is not planned");
    taken.isReady = false;
    this.#beginFlight(taken, nowMs + WEBHOOK_SEND_MAX_MS);
    this.#push(key, nowMs + WEBHOOK_SEND_MAX_MS);
    // Behind the others: hosts within the tenant, and the tenant itself.
    this.#tenants.get(tenantId)?.open.delete(host);
    this.#open.delete(tenantId);
    this.#settle(taken);
    return key;
  }

  /** What the sender of one that was taken holds. */
  weigh(key: string, bytes: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.flyingUntilMs === null) return;
    const change = bytes - entry.bytes;
    entry.bytes = bytes;
    this.#tenant(entry.tenantId).bytes += change;
    this.#bytes += change;
  }

  /** Could one be taken at this moment? */
  hasReady(nowMs: number): boolean {
    this.#advance(nowMs);
    return this.#next() !== undefined;
  }

  /** Have more fallen due than could be sorted in so far? Then who can take none now may take one in the next turn. */
  isBehind(nowMs: number): boolean {
    const due = this.#due.peek();
    return due !== undefined && due.atMs <= nowMs;
  }

  /** When to look again, epoch ms: now if one is ready, else the next plan or lost sender; Infinity when nothing is owed. */
  nextAtMs(nowMs: number): number {
    if (this.hasReady(nowMs)) return nowMs;
    for (let due = this.#due.peek(); due !== undefined; due = this.#due.peek()) {
      if (this.#isFresh(due.uuid, due.atMs)) return due.atMs;
      this.#due.pop();
    }
    return Number.POSITIVE_INFINITY;
  }

  /**
   * Whose turn it is. A tenant has less in flight than is free, so that there is always room for one that comes: alone it gets
   * half of all, of two each a third. Those that are passed over have some in flight, so they are few.
   */
  #next(): WebhookTarget | undefined {
    const free = WEBHOOKS_IN_FLIGHT_MAX - this.#inFlight;
    const freeBytes = WEBHOOKS_IN_FLIGHT_MAX_BYTES - this.#bytes;
    // How much the next one weighs is not known before it is taken.
    if (freeBytes < WEBHOOK_PAYLOAD_MAX_BYTES) return undefined;
    for (const tenantId of this.#open) {
      const { inFlight, bytes, open } = this.#tenant(tenantId);
      const [host] = open;
      if (host !== undefined && inFlight < free && bytes < freeBytes) return { tenantId, host };
    }
    return undefined;
  }

  #advance(nowMs: number): void {
    for (let looked = 0; looked < ADVANCED_AT_ONCE_MAX; looked += 1) {
      const due = this.#due.peek();
      if (due === undefined || due.atMs > nowMs) return;
      this.#due.pop();
      const entry = this.#entries.get(due.uuid);
      if (entry === undefined || !this.#isFresh(due.uuid, due.atMs)) continue;
      this.#endFlight(entry);
      entry.isReady = true;
      this.#lane(entry).ready.add(due.uuid);
      this.#settle(entry);
    }
  }

  #isFresh(key: string, atMs: number): boolean {
    const entry = this.#entries.get(key);
    return entry !== undefined && !entry.isReady && (entry.flyingUntilMs ?? entry.atMs) === atMs;
  }

  #push(key: string, atMs: number): void {
    this.#due.push({ uuid: key, atMs });
    if (!this.#due.isMostlyStale(this.#entries.size)) return;
    this.#due = new DueOrder();
    for (const [each, entry] of this.#entries) {
      if (!entry.isReady) this.#due.push({ uuid: each, atMs: entry.flyingUntilMs ?? entry.atMs });
    }
  }

  #beginFlight(entry: Entry, untilMs: number): void {
    entry.flyingUntilMs = untilMs;
    this.#lane(entry).inFlight += 1;
    this.#tenant(entry.tenantId).inFlight += 1;
    this.#inFlight += 1;
  }

  #endFlight(entry: Entry): void {
    if (entry.flyingUntilMs === null) return;
    const tenant = this.#tenant(entry.tenantId);
    this.#lane(entry).inFlight -= 1;
    tenant.inFlight -= 1;
    tenant.bytes -= entry.bytes;
    this.#inFlight -= 1;
    this.#bytes -= entry.bytes;
    entry.flyingUntilMs = null;
    entry.bytes = 0;
  }

  /** A lane has changed: it may send one more or not, and is forgotten when nothing is left of it. */
  #settle({ tenantId, host }: WebhookTarget): void {
    const tenant = this.#tenant(tenantId);
    const { ready, inFlight } = this.#lane({ tenantId, host });
    if (ready.size > 0 && inFlight < WEBHOOK_HOST_IN_FLIGHT_MAX) tenant.open.add(host);
    else tenant.open.delete(host);
    if (ready.size === 0 && inFlight === 0) tenant.lanes.delete(host);
    if (tenant.open.size > 0) this.#open.add(tenantId);
    else this.#open.delete(tenantId);
    if (tenant.lanes.size === 0) this.#tenants.delete(tenantId);
  }

  #tenant(tenantId: string): Tenant {
    const tenant = this.#tenants.get(tenantId) ?? { lanes: new Map(), open: new Set(), inFlight: 0, bytes: 0 };
    this.#tenants.set(tenantId, tenant);
    return tenant;
  }

  #lane({ tenantId, host }: WebhookTarget): Lane {
    const { lanes } = this.#tenant(tenantId);
    const lane = lanes.get(host) ?? { ready: new Set(), inFlight: 0 };
    lanes.set(host, lane);
    return lane;
  }
}
