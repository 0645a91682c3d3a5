// Pages of lists, newest first.

/** Where a page begins: behind the last row of the page before. */
export interface PageStart {
  readonly createdAtMs: number;
  readonly id: string;
}

export interface Page {
  /** Null: the first page. */
  readonly after: PageStart | null;
  readonly limit: number;
}

/** The start of the first page: no row comes before it. */
export const BEFORE_NEWEST: PageStart = { createdAtMs: Number.MAX_SAFE_INTEGER, id: "" };
