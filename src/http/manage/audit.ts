// /v1/audit: who changed which setting, when, and from what to what.
import * as z from "zod";
import { fieldChangesSchema } from "../../contract/manage/change.ts";
import { pageShape, paginationSchema } from "../../contract/manage/page.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { listAudit } from "../../db/audit.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { decodeCursor, paginationOf } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";
import { listOwner, ownerShape } from "./owner.ts";

const querySchema = z.strictObject({ ...pageShape, ...ownerShape });
const cursorSchema = z.int().min(1);

const lineSchema = z
  .object({
    number: z.int(),
    tenantId: z.string(),
    at: z.iso.datetime(),
    keyId: z
      .string()
      .nullable()
      .meta({ description: "The key that was used; null: a migration, or somebody on the database itself" }),
    action: z.string(),
    objectId: z.string(),
    changes: fieldChangesSchema,
    requestId: z.string().nullable(),
  })
  .meta({ id: "AuditLine" });

export const AUDIT_ROUTES: readonly Route[] = [
  operation({
    plane: "v1",
    tag: "Audit",
    method: "GET",
    path: "/v1/audit",
    id: "listAudit",
    summary: "List changes",
    description: "Newest first: who changed what, from what to what. Values of secrets are in none of them.",
    scopes: ["manage", "admin"],
    kind: "reads",
    query: querySchema,
    answers: {
      200: {
        description: "A page of changes",
        schema: z.object({ lines: z.array(lineSchema), pagination: paginationSchema }),
      },
    },
    handle: list,
  }),
];

async function list({
  env,
  caller,
  query,
}: OperationCall<Record<string, unknown>, z.infer<typeof querySchema>, unknown>): Promise<Result<Reply>> {
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const owner = listOwner(caller, query.tenant);
  if (!owner.ok) return owner;
  const before = decodeCursor(query.cursor, cursorSchema);
  if (!before.ok) return before;
  const { limit } = query;
  const asked = { tenantId: owner.value, before: before.value ?? Number.MAX_SAFE_INTEGER, limit: limit + 1 };
  const found = await askD1(() => listAudit(env.DB, asked));
  if (!found.ok) return found;
  const lines = found.value.slice(0, limit).map(({ atMs, ...line }) => ({ ...line, at: toTimeText(atMs) }));
  const next = found.value.length > limit ? (lines.at(-1)?.number ?? null) : null;
  return ok({ status: 200, body: { lines, pagination: paginationOf(next) } });
}
