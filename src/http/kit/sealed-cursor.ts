// Cursors of an endpoint's jobs. One is the uuid of the last row that a page has looked at, which in a public endpoint may be a job of
// another tenant, so that its holder must not be able to read it.

import * as z from "zod";
import { readConfig } from "../../config.ts";
import type { Pagination } from "../../contract/manage/page.ts";
import { jobCursorPlace } from "../../core/access/sealing.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { openUnguarded, seal } from "../../outbound/credentials.ts";
import { decodeCursor, paginationOf } from "./page.ts";

const sealedSchema = z.string().min(1).max(200);

/** Whose jobs of which endpoint a cursor is of. */
interface CursorOwner {
  readonly endpointId: string;
  readonly tenantId: string;
}

/** What a page continues from; null: it is the first one. */
export async function openCursor(
  env: Env,
  { endpointId, tenantId }: CursorOwner,
  cursor: string | undefined,
): Promise<Result<string | null>> {
  const sealed = decodeCursor(cursor, sealedSchema);
  if (!sealed.ok || sealed.value === null) return sealed;
  try {
    return ok(await openUnguarded(sealed.value, readConfig(env).encryptionKey, jobCursorPlace(endpointId, tenantId)));
  } catch {
    return fail({ kind: "invalid", field: "?cursor", message: "is not a nextCursor of this list" });
  }
}

/** `next`: the `before` of the next page; null: there is none. */
export async function sealedPagination(
  env: Env,
  { endpointId, tenantId }: CursorOwner,
  next: string | null,
): Promise<Pagination> {
  if (next === null) return paginationOf(null);
  return paginationOf(await seal(next, readConfig(env).encryptionKey, jobCursorPlace(endpointId, tenantId)));
}
