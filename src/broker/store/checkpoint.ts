// The SQL of the checkpoint: one row for the whole, a row for each tenant that keeps something settled, and pages of
// the uuids that a start must read below the floor. Named, typed statements; kept-rows.ts explains their meaning.
import { LISTED_PAGE_UUIDS } from "../../core/limits.ts";
import { NOTHING_KEPT, type Tallies, type Tally } from "./kept-tally.ts";
import type { MeteredSql } from "./metered-sql.ts";

export interface Checkpoint {
  readonly floor: string;
  readonly atMs: number;
  /** The number of settled rows up to the floor. */
  readonly rows: number;
  readonly queueSeq: number;
  readonly finishSeq: number;
  /** When the sweep is to look next, epoch ms; Infinity: there is nothing that it could find. */
  readonly sweepAtMs: number;
  /** How long the newest jobs took, oldest first. */
  readonly times: readonly number[];
  /** The text of core/fleet/timings.ts. */
  readonly timings: string;
}

/** Its row: no look that is due is null, and times are one text. */
type CheckpointRow = Omit<Checkpoint, "sweepAtMs" | "times"> & { sweepAtMs: number | null; times: string };

export class CheckpointStore {
  readonly #sql: MeteredSql;

  constructor(sql: MeteredSql) {
    this.#sql = sql;
  }

  /** The migration has made the row. */
  read(): Checkpoint {
    const { sweepAtMs, times, ...row } = this.#sql.one<CheckpointRow>(
      `SELECT floor, at AS atMs, rows, queue_seq AS queueSeq, finish_seq AS finishSeq, sweep_at AS sweepAtMs, times,
         timings FROM checkpoint WHERE one = 1`,
    );
    return {
      ...row,
      sweepAtMs: sweepAtMs ?? Number.POSITIVE_INFINITY,
      times: times === "" ? [] : times.split(",").map(Number),
    };
  }

  write({ floor, atMs, rows, queueSeq, finishSeq, sweepAtMs, times, timings }: Checkpoint): void {
    this.#sql.run(
      `UPDATE checkpoint SET floor = ?, at = ?, rows = ?, queue_seq = ?, finish_seq = ?, sweep_at = ?, times = ?,
         timings = ? WHERE one = 1`,
      floor,
      atMs,
      rows,
      queueSeq,
      finishSeq,
      Number.isFinite(sweepAtMs) ? sweepAtMs : null,
      times.join(","),
      timings,
    );
  }

  readListed(): string[] {
    const pages = this.#sql.all<{ uuids: string }>("SELECT uuids FROM listed");
    return pages.flatMap(({ uuids }) => uuids.split(" "));
  }

  /** Adds one uuid to the list. */
  list(uuid: string): void {
    this.#sql.run("INSERT INTO listed (uuids) VALUES (?)", uuid);
  }

  /** Replaces the whole list by these uuids. */
  relist(uuids: readonly string[]): void {
    const pages = Math.ceil(uuids.length / LISTED_PAGE_UUIDS);
    for (let page = 1; page <= pages; page += 1) {
      this.#sql.run(
        "INSERT INTO listed (page, uuids) VALUES (?, ?) ON CONFLICT (page) DO UPDATE SET uuids = excluded.uuids",
        page,
        uuids.slice((page - 1) * LISTED_PAGE_UUIDS, page * LISTED_PAGE_UUIDS).join(" "),
      );
    }
    this.#sql.run("DELETE FROM listed WHERE page > ?", pages);
  }

  readTally(tenantId: string): Tally {
    const text = "SELECT rows, bytes, completed, failed, retried FROM tallies WHERE tenant_id = ?";
    return this.#sql.all<{ [Name in keyof Tally]: number }>(text, tenantId)[0] ?? NOTHING_KEPT;
  }

  /** Adds changes to the tenants' sums; negative numbers subtract. A tenant without rows of jobs has no sum. */
  addTallies(changes: Tallies): void {
    for (const [tenantId, { rows, bytes, completed, failed, retried }] of changes.entries()) {
      this.#sql.run(
        `INSERT INTO tallies (tenant_id, rows, bytes, completed, failed, retried) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (tenant_id) DO UPDATE SET rows = rows + excluded.rows, bytes = bytes + excluded.bytes,
           completed = completed + excluded.completed, failed = failed + excluded.failed,
           retried = retried + excluded.retried`,
        tenantId,
        rows,
        bytes,
        completed,
        failed,
        retried,
      );
      if (rows < 0) this.#sql.run("DELETE FROM tallies WHERE tenant_id = ? AND rows <= 0", tenantId);
    }
  }
}
