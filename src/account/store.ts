// The SQL of a tenant's account: what each broker has posted, and the batches that D1 does not have yet.
import { z } from "zod";
import { type UsageBatch, type UsageLine, usageLineSchema } from "../contract/usage.ts";

/** A batch on its way to D1. */
export interface KeptBatch {
  readonly id: number;
  readonly broker: string;
  readonly through: number;
  readonly lines: readonly UsageLine[];
}

const linesSchema = z.array(usageLineSchema);

export class AccountStore {
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    storage.sql.exec(`
      CREATE TABLE IF NOT EXISTS seen (broker TEXT PRIMARY KEY, through INTEGER NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS batches (
        id INTEGER PRIMARY KEY, broker TEXT NOT NULL, through INTEGER NOT NULL, lines TEXT NOT NULL
      ) STRICT;
    `);
  }

  /** Keeps the lines that are new, once. Returns the last finish of that broker that is safe here. */
  accept(batch: UsageBatch): number {
    return this.#storage.transactionSync(() => {
      const seen = this.#seen(batch.broker);
      const fresh = batch.lines.filter(({ finishSeq }) => finishSeq > seen);
      const through = fresh.at(-1)?.finishSeq ?? seen;
      if (fresh.length === 0) return through;
      const lines = linesSchema.parse(fresh.map(({ line }) => line));
      const { sql } = this.#storage;
      const text = JSON.stringify(lines);
      sql.exec("INSERT INTO batches (broker, through, lines) VALUES (?, ?, ?)", batch.broker, through, text);
      sql.exec(
        "INSERT INTO seen (broker, through) VALUES (?, ?) ON CONFLICT (broker) DO UPDATE SET through = excluded.through",
        batch.broker,
        through,
      );
      return through;
    });
  }

  oldest(): KeptBatch | null {
    const row = this.#storage.sql
      .exec<{ id: number; broker: string; through: number; lines: string }>(
        "SELECT id, broker, through, lines FROM batches ORDER BY id LIMIT 1",
      )
      .toArray()[0];
    if (row === undefined) return null;
    return { id: row.id, broker: row.broker, through: row.through, lines: linesSchema.parse(JSON.parse(row.lines)) };
  }

  remove(id: number): void {
    this.#storage.sql.exec("DELETE FROM batches WHERE id = ?", id);
  }

  #seen(broker: string): number {
    const rows = this.#storage.sql.exec<{ through: number }>("SELECT through FROM seen WHERE broker = ?", broker);
    return rows.toArray()[0]?.through ?? 0;
  }
}
