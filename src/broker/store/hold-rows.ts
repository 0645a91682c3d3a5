// The rows of what is held active: named, typed statements. A row is written in the transaction that stores the lines which it owes.
import type { ActiveHold } from "../../core/meter/hold.ts";
import type { MeteredSql } from "./metered-sql.ts";

/** A hold as its row has it; `seenAtMs`: the last call of a pulling worker that is written, null of an upstream. */
export interface HoldRow {
  readonly hold: ActiveHold;
  readonly seenAtMs: number | null;
}

type Columns = { readonly [Name in keyof ActiveHold]: ActiveHold[Name] } & { readonly seenAtMs: number | null };

export class HoldRows {
  readonly #sql: MeteredSql;

  constructor(sql: MeteredSql) {
    this.#sql = sql;
  }

  all(): HoldRow[] {
    const rows = this.#sql.all<Columns>(
      `SELECT holder_id AS holderId, id, key_id AS keyId, tier, from_at AS fromMs, metered_until AS meteredUntilMs, slices,
         seen_at AS seenAtMs FROM holds`,
    );
    return rows.map(({ seenAtMs, ...hold }) => ({ hold, seenAtMs }));
  }

  /** Writes the hold of a holder that has none, or what has become of it. */
  put({ hold, seenAtMs }: HoldRow): void {
    const { holderId, id, keyId, tier, fromMs, meteredUntilMs, slices } = hold;
    this.#sql.run(
      `INSERT INTO holds (holder_id, id, key_id, tier, from_at, metered_until, slices, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (holder_id) DO UPDATE SET from_at = excluded.from_at, metered_until = excluded.metered_until,
         slices = excluded.slices, seen_at = excluded.seen_at`,
      holderId,
      id,
      keyId,
      tier,
      fromMs,
      meteredUntilMs,
      slices,
      seenAtMs,
    );
  }

  delete(holderId: string): void {
    this.#sql.run("DELETE FROM holds WHERE holder_id = ?", holderId);
  }
}
