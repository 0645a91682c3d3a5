// Counts each tenant's Idempotency-Keys in this endpoint, and walks them to drop expired ones. A count is never too
// low, yet most jobs write no row for it: its row is written a block ahead, so that a start, which has only that row,
// begins at or above the true count. The walk reads every key and corrects the counts.
import {
  IDEMPOTENCY_KEYS_TENANT_MAX,
  IDEMPOTENCY_SWEEP_EVERY_MS,
  KEYS_COUNTED_AHEAD,
  KEYS_WALKED_AT_ONCE,
  SWEEP_EVERY_MS,
} from "../../core/limits.ts";
import type { Timed } from "../alarm.ts";
import type { MeteredSql } from "./metered-sql.ts";

interface Count {
  /** At least as many as are stored. */
  keys: number;
  /** The number in the tenant's row: at least `keys`. */
  written: number;
  /** Keys stored since the walk began, or since it reached this tenant. */
  sinceWalk: number;
}

/** How far a walk has come: the last key that it has read, and the keys that it has counted of that key's tenant. */
interface Walk {
  tenantId: string;
  key: string;
  keys: number;
  readonly seen: Set<string>;
  /** The first expiry among the keys that stay, epoch ms. */
  expiryAtMs: number;
}

export class KeyCounts implements Timed {
  readonly #sql: MeteredSql;
  readonly #counts = new Map<string, Count>();
  #walk: Walk | null = null;
  /** True: keys of an earlier start are stored, and their expiry is not known yet. */
  #isUnknown: boolean;
  /** First expiry of the keys that the last walk left, epoch ms; Infinity: it left none, or none has run since the start. */
  #expiryAtMs = Number.POSITIVE_INFINITY;
  /** When the next walk may begin, epoch ms; null: not looked up yet. */
  #nextWalkAtMs: number | null = null;

  constructor(sql: MeteredSql) {
    this.#sql = sql;
    this.#isUnknown = this.#hasAny();
  }

  /** May the tenant store one more key? */
  hasRoom(tenantId: string): boolean {
    return this.#of(tenantId).keys < IDEMPOTENCY_KEYS_TENANT_MAX;
  }

  /** Counts one more key, inside the transaction that stores it. */
  note(tenantId: string): void {
    const count = this.#of(tenantId);
    if (count.keys >= count.written) this.#write(tenantId, count, count.keys + KEYS_COUNTED_AHEAD);
    count.keys += 1;
    count.sinceWalk += 1;
  }

  /** Called if a start of the object finds no alarm set that would bring the first walk. */
  noAlarm(nowMs: number): void {
    if (this.#isUnknown) this.#expiryAtMs = nowMs + SWEEP_EVERY_MS;
  }

  /** Walks one page. The first alarm of an object walks in any case: it may have been set for just that. */
  run(nowMs: number): boolean {
    if (!this.#isUnknown && this.nextAtMs() > nowMs) return false;
    this.#sql.transaction(() => this.walkOn(nowMs));
    return this.nextAtMs() <= nowMs;
  }

  #hasAny(): boolean {
    return this.#sql.all("SELECT key FROM idempotency LIMIT 1").length > 0;
  }

  /**
   * When the next page of a walk is due, epoch ms, or else the next walk. A walk is due when the first key expires, so
   * that an idle endpoint is woken for that alone, and not at all once no key is left.
   */
  nextAtMs(): number {
    return this.#walk === null ? this.#expiryAtMs : 0;
  }

  /** Begins a walk, unless one is under way or the last one ended less than IDEMPOTENCY_SWEEP_EVERY_MS ago. */
  beginWalk(nowMs: number): void {
    if (this.#walk !== null) return;
    this.#nextWalkAtMs ??= this.#lastWalkMs() + IDEMPOTENCY_SWEEP_EVERY_MS;
    if (nowMs < this.#nextWalkAtMs) {
      // Keys may have come since the last walk, and no later call may come that would plan the next one.
      if (this.#expiryAtMs === Number.POSITIVE_INFINITY && this.#hasAny()) this.#expiryAtMs = this.#nextWalkAtMs;
      return;
    }
    this.#walk = { tenantId: "", key: "", keys: 0, seen: new Set(), expiryAtMs: Number.POSITIVE_INFINITY };
    for (const count of this.#counts.values()) count.sinceWalk = 0;
  }

  /** Walks one page, inside a transaction. */
  walkOn(nowMs: number): void {
    this.#isUnknown = false;
    this.beginWalk(nowMs);
    const walk = this.#walk;
    if (walk === null) return;
    const page = this.#sql.all<{ tenant_id: string; key: string; expires_at: number }>(
      `SELECT tenant_id, key, expires_at FROM idempotency WHERE (tenant_id, key) > (?, ?)
       ORDER BY tenant_id, key LIMIT ${KEYS_WALKED_AT_ONCE}`,
      walk.tenantId,
      walk.key,
    );
    for (const { tenant_id: tenantId, key, expires_at: expiresAtMs } of page) {
      if (tenantId !== walk.tenantId) this.#comeTo(walk, tenantId);
      walk.key = key;
      if (expiresAtMs > nowMs) {
        walk.keys += 1;
        walk.expiryAtMs = Math.min(walk.expiryAtMs, expiresAtMs);
      } else this.#sql.all("DELETE FROM idempotency WHERE tenant_id = ? AND key = ?", tenantId, key);
    }
    if (page.length < KEYS_WALKED_AT_ONCE) this.#endWalk(walk, nowMs);
  }

  #comeTo(walk: Walk, tenantId: string): void {
    if (walk.tenantId !== "") this.#correct(walk.tenantId, walk.keys);
    const count = this.#counts.get(tenantId);
    if (count !== undefined) count.sinceWalk = 0;
    walk.tenantId = tenantId;
    walk.keys = 0;
    walk.seen.add(tenantId);
  }

  #endWalk(walk: Walk, nowMs: number): void {
    if (walk.tenantId !== "") this.#correct(walk.tenantId, walk.keys);
    const counted = this.#sql.all<{ tenant_id: string }>("SELECT tenant_id FROM key_counts");
    for (const { tenant_id: tenantId } of counted) if (!walk.seen.has(tenantId)) this.#correct(tenantId, 0);
    this.#sql.all(
      "INSERT INTO key_walk (one, ended_at) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET ended_at = excluded.ended_at",
      nowMs,
    );
    this.#walk = null;
    this.#nextWalkAtMs = nowMs + IDEMPOTENCY_SWEEP_EVERY_MS;
    this.#expiryAtMs = Math.max(walk.expiryAtMs, this.#nextWalkAtMs);
  }

  /** Sets a tenant's count after the walk; keys that came meanwhile may be counted twice, which does no harm. */
  #correct(tenantId: string, walked: number): void {
    const count = this.#of(tenantId);
    count.keys = walked + count.sinceWalk;
    if (count.keys === 0) {
      this.#sql.all("DELETE FROM key_counts WHERE tenant_id = ?", tenantId);
      this.#counts.delete(tenantId);
      return;
    }
    // A row that is ahead by less than a block is exact enough, and leaving it costs no write.
    const ahead = count.written - count.keys;
    if (ahead < 0 || ahead > KEYS_COUNTED_AHEAD) this.#write(tenantId, count, count.keys);
  }

  #of(tenantId: string): Count {
    let count = this.#counts.get(tenantId);
    if (count === undefined) {
      const [row] = this.#sql.all<{ keys: number }>("SELECT keys FROM key_counts WHERE tenant_id = ?", tenantId);
      const written = row?.keys ?? 0;
      count = { keys: written, written, sinceWalk: 0 };
      this.#counts.set(tenantId, count);
    }
    return count;
  }

  #write(tenantId: string, count: Count, keys: number): void {
    this.#sql.all(
      "INSERT INTO key_counts (tenant_id, keys) VALUES (?, ?) ON CONFLICT (tenant_id) DO UPDATE SET keys = excluded.keys",
      tenantId,
      keys,
    );
    count.written = keys;
  }

  #lastWalkMs(): number {
    return this.#sql.all<{ ended_at: number }>("SELECT ended_at FROM key_walk")[0]?.ended_at ?? 0;
  }
}
