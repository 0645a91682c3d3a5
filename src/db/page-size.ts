// Bounds a page of rows that may be large: RunPod's clients ask for a thousand at once, of which each may have an environment of 64 KB.
import { PAGE_CHARS_MAX } from "../core/manage/limits.ts";

/** What a row of a page says beside itself. `isCut`: the page is large enough with it, so that another one may follow. */
export interface Cut {
  readonly isCut: boolean;
}

/** A row as the SQL of a bounded page gives it. */
export interface SizedRow {
  /** Characters of this row and all before it. */
  readonly through: number;
}

/** SQL that gives the newest of the rows that `rows` gives, which is SQL, up to that size, and at least one. `chars`: SQL of a row's size. */
export function boundedPage(columns: string, rows: string, chars: string): string {
  return `SELECT ${columns}, through FROM (SELECT *, sum(${chars}) OVER (ORDER BY created_at DESC, id DESC) AS through FROM (${rows}))
    WHERE through - (${chars}) < ${PAGE_CHARS_MAX} ORDER BY created_at DESC, id DESC`;
}

/** The rows of a bounded page, each as `show` makes it. */
export function cutRows<Row extends SizedRow, Shown extends object>(
  rows: readonly Row[],
  show: (row: Row) => Shown,
): (Shown & Cut)[] {
  return rows.map((row) => ({ ...show(row), isCut: row.through >= PAGE_CHARS_MAX }));
}
