// When each owed webhook is sent: at its time, and again when its sender is lost. Limits bound the webhooks in flight
// of one tenant to one host, and the number and bytes of all; when these are scarce, tenants take turns, and so do each
// tenant's hosts. Memory only. The owner chooses the keys, and decides elsewhere what the result of a try means.

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
  /** The webhook's time has come, and it waits for its turn. */
  isReady: boolean;
  /** When the sender of a webhook in flight is taken for lost, epoch ms; null while the webhook waits. */
  flyingUntilMs: number | null;
  /** The bytes that its sender holds in memory. */
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
  /** Hosts of the lanes that may send one more webhook; the host whose turn is next comes first. */
  readonly open: Set<string>;
  inFlight: number;
  bytes: number;
}

/** Webhooks that are due together are sorted in step by step: after an outage there may be 200,000 of them. */
const ADVANCED_AT_ONCE_MAX = 1_000;

export class WebhookSchedule {
  readonly #entries = new Map<string, Entry>();
  readonly #tenants = new Map<string, Tenant>();
  /** Tenants with an open lane; the tenant whose turn is next comes first. */
  readonly #open = new Set<string>();
  #inFlight = 0;
  #bytes = 0;
  #due = new DueOrder();

  /** Webhooks that are planned or in flight. */
  get size(): number {
    return this.#entries.size;
  }

  /** Plans a webhook for a time, epoch ms. The same plan again changes nothing, because a sender may be at work. */
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

  /** The sender of this webhook has reported. The webhook is due again, unless a new plan or a drop follows. */
  land(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.flyingUntilMs === null) return;
    this.#endFlight(entry);
    this.#settle(entry);
    this.#push(key, entry.atMs);
  }

  /** Gives a webhook another key, whether it is in flight or not. */
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

  /** Takes a webhook that may be sent now. It is in flight until `land`, a new plan, or its sender's time is over. */
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
    // The host goes behind the tenant's other hosts, and the tenant behind the other tenants.
    this.#tenants.get(tenantId)?.open.delete(host);
    this.#open.delete(tenantId);
    this.#settle(taken);
    return key;
  }

  /** Sets the bytes that the sender of a webhook in flight holds. */
  weigh(key: string, bytes: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.flyingUntilMs === null) return;
    const change = bytes - entry.bytes;
    entry.bytes = bytes;
    this.#tenant(entry.tenantId).bytes += change;
    this.#bytes += change;
  }

  /** Could a webhook be taken at this moment? */
  hasReady(nowMs: number): boolean {
    this.#advance(nowMs);
    return this.#next() !== undefined;
  }

  /** Are more webhooks due than were sorted in so far? Then `take` may find one in the next turn, if not now. */
  isBehind(nowMs: number): boolean {
    const due = this.#due.peek();
    return due !== undefined && due.atMs <= nowMs;
  }

  /** When to call `take` next, epoch ms: now if one is ready, else at the next plan or lost sender; Infinity: never. */
  nextAtMs(nowMs: number): number {
    if (this.hasReady(nowMs)) return nowMs;
    for (let due = this.#due.peek(); due !== undefined; due = this.#due.peek()) {
      if (this.#isFresh(due.uuid, due.atMs)) return due.atMs;
      this.#due.pop();
    }
    return Number.POSITIVE_INFINITY;
  }

  /**
   * The target whose turn is next. A tenant may have less in flight than is free, so that there is always room for
   * another tenant: one alone gets half of all, two get a third each. The few that are passed over have some in flight.
   */
  #next(): WebhookTarget | undefined {
    const free = WEBHOOKS_IN_FLIGHT_MAX - this.#inFlight;
    const freeBytes = WEBHOOKS_IN_FLIGHT_MAX_BYTES - this.#bytes;
    // The size of the next webhook is not known before it is taken, so there must be room for the largest.
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

  /** Updates the turns after a change of a lane, and drops a lane or tenant that has nothing left. */
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
