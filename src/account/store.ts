// The SQL of a tenant's account: what each broker has posted, the batches that D1 does not have yet, and parked lines.
import * as z from "zod";
import type { ParkedUsage, UsageBatch } from "../contract/usage.ts";
import { migrateObject } from "../db/object-migrations.ts";
import { ACCOUNT_MIGRATIONS } from "./schema.ts";

/** A batch to be written to D1. Its lines are as the broker sent them; they are checked when they are written. */
export interface KeptBatch {
  readonly id: number;
  readonly broker: string;
  readonly through: number;
  readonly lines: readonly unknown[];
}

/** A line that D1 refuses for its content. */
export interface ParkedLine {
  readonly line: unknown;
  readonly reason: string;
}

export class AccountStore {
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    migrateObject(storage, ACCOUNT_MIGRATIONS);
  }

  get sizeBytes(): number {
    return this.#storage.sql.databaseSize;
  }

  /** Stores the new lines of a batch as one row. Returns the number of the broker's last finish that is stored here. */
  accept(batch: UsageBatch): number {
    return this.#storage.transactionSync(() => {
      const seen = this.#seen(batch.broker);
      const fresh = batch.lines.filter(({ finishSeq }) => finishSeq > seen);
      if (fresh.length === 0) return seen;
      const through = fresh.reduce((last, { finishSeq }) => Math.max(last, finishSeq), seen);
      const lines = fresh.map(({ line }) => line);
      this.#keep(batch.broker, through, lines);
      this.#storage.sql.exec(
        "INSERT INTO seen (broker, through) VALUES (?, ?) ON CONFLICT (broker) DO UPDATE SET through = excluded.through",
        batch.broker,
        through,
      );
      return through;
    });
  }

  /** The batch that has waited longest; null when D1 has every line. */
  oldest(): KeptBatch | null {
    const row = this.#storage.sql
      .exec<{ id: number; broker: string; through: number; lines: string }>(
        "SELECT id, broker, through, lines FROM batches ORDER BY id LIMIT 1",
      )
      .toArray()[0];
    if (row === undefined) return null;
    const lines = z.array(z.unknown()).parse(JSON.parse(row.lines));
    return { id: row.id, broker: row.broker, through: row.through, lines };
  }

  /** D1 has the batch without the parked lines. One transaction parks them and deletes the batch: no line is lost. */
  settle(batch: KeptBatch, parked: readonly ParkedLine[], nowMs: number): void {
    this.#storage.transactionSync(() => {
      for (const { line, reason } of parked) {
        this.#storage.sql.exec(
          "INSERT INTO parked (broker, line, reason, parked_at) VALUES (?, ?, ?, ?)",
          batch.broker,
          JSON.stringify(line),
          reason,
          nowMs,
        );
      }
      this.#storage.sql.exec("DELETE FROM batches WHERE id = ?", batch.id);
    });
  }

  /** Puts the halves of a batch behind all other batches, so that its bad line does not hold up the next one. */
  split(batch: KeptBatch): void {
    const middle = Math.ceil(batch.lines.length / 2);
    this.#storage.transactionSync(() => {
      // Position 0 does not move the broker's position in D1: only the second half ends where the batch ends.
      this.#keep(batch.broker, 0, batch.lines.slice(0, middle));
      this.#keep(batch.broker, batch.through, batch.lines.slice(middle));
      this.#storage.sql.exec("DELETE FROM batches WHERE id = ?", batch.id);
    });
  }

  /** The parked lines, oldest first: they are missing from the record until a person has looked at them. */
  listParked(limit: number): ParkedUsage[] {
    return this.#storage.sql
      .exec<{ broker: string; line: string; reason: string; parked_at: number }>(
        "SELECT broker, line, reason, parked_at FROM parked ORDER BY id LIMIT ?",
        limit,
      )
      .toArray()
      .map((row) => ({ endpointId: row.broker, line: row.line, reason: row.reason, parkedAtMs: row.parked_at }));
  }

  #keep(broker: string, through: number, lines: readonly unknown[]): void {
    const text = JSON.stringify(lines);
    this.#storage.sql.exec("INSERT INTO batches (broker, through, lines) VALUES (?, ?, ?)", broker, through, text);
  }

  #seen(broker: string): number {
    const rows = this.#storage.sql.exec<{ through: number }>("SELECT through FROM seen WHERE broker = ?", broker);
    return rows.toArray()[0]?.through ?? 0;
  }
}
