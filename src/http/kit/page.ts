// Pages of lists: `?cursor&limit` in, `pagination` out. A cursor is opaque to clients; what it holds is checked like any input.
import * as z from "zod";
import type { Pagination } from "../../contract/manage/page.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { askD1 } from "../../db/ask-d1.ts";
import type { Page, PageStart } from "../../db/page.ts";

const startSchema = z.tuple([z.int().min(0), z.string().min(1).max(200)]);

/**
 * The page of D1's rows that a query asks for, newest first. `load` reads a page; it is asked for one row more, so that the last page is
 * known, and may give fewer, of which the last one then says that it is cut.
 */
export async function loadPage<Row extends PageStart & { readonly isCut?: boolean }>(
  { cursor, limit }: { readonly cursor?: string | undefined; readonly limit: number },
  load: (page: Page) => Promise<readonly Row[]>,
): Promise<Result<{ readonly rows: readonly Row[]; readonly pagination: Pagination }>> {
  const start = decodeCursor(cursor, startSchema);
  if (!start.ok) return start;
  const after = start.value === null ? null : { createdAtMs: start.value[0], id: start.value[1] };
  const found = await askD1(() => load({ after, limit: limit + 1 }));
  if (!found.ok) return found;
  const rows = found.value.slice(0, limit);
  const last = rows.at(-1);
  const hasNext = last !== undefined && (found.value.length > limit || last.isCut === true);
  return ok({ rows, pagination: paginationOf(hasNext ? [last.createdAtMs, last.id] : null) });
}

/** What `encodeCursor` made a cursor of; null: the query has none. */
export function decodeCursor<Schema extends z.ZodType>(
  cursor: string | undefined,
  schema: Schema,
): Result<z.output<Schema> | null> {
  if (cursor === undefined) return ok(null);
  const decoded = schema.safeParse(decode(cursor));
  if (decoded.success) return ok(decoded.data);
  return fail({ kind: "invalid", field: "?cursor", message: "is not a nextCursor of this list" });
}

/** The text by which the next page of a list is asked for. */
function encodeCursor(value: unknown): string {
  return btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** `next`: by what the next page is asked for; null: there is none. */
export function paginationOf(next: unknown): Pagination {
  return { hasNextPage: next !== null, nextCursor: next === null ? null : encodeCursor(next) };
}

function decode(cursor: string): unknown {
  try {
    return JSON.parse(atob(cursor.replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return null;
  }
}
