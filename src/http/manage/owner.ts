// Whose things a list of /v1 shows: the caller's own tenant's, or with the scope admin another's or everybody's.
import * as z from "zod";
import { fail, ok, type Result } from "../../core/failure.ts";
import type { Owner } from "../../db/managed-endpoints.ts";
import type { ManageContext } from "../../manage/context.ts";

/** A parameter of a list's query. */
export const ownerShape = {
  tenant: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .meta({ description: "With the scope admin: the id of a tenant, or * for all; without it the key's own" }),
};

/** `*` is null: everybody's. */
export function listOwner({ tenantId, scopes }: ManageContext["caller"], asked: string | undefined): Result<Owner> {
  if (asked === undefined || asked === tenantId) return ok(tenantId);
  if (!scopes.includes("admin")) return fail({ kind: "forbidden", scope: "admin" });
  return ok(asked === "*" ? null : asked);
}
