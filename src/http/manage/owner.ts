// Whose things a call of /v1 is about: the caller's own tenant's, or with the scope admin another's or everybody's.
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

/** The tenant that is asked for, or the caller's own. */
export function askedTenant({ tenantId, scopes }: ManageContext["caller"], asked: string | undefined): Result<string> {
  if (asked === undefined || asked === tenantId || scopes.includes("admin")) return ok(asked ?? tenantId);
  return fail({ kind: "forbidden", scope: "admin" });
}

/** The same for a list, in which `*` is everybody. */
export function listOwner(caller: ManageContext["caller"], asked: string | undefined): Result<Owner> {
  const tenantId = askedTenant(caller, asked);
  return tenantId.ok && tenantId.value === "*" ? ok(null) : tenantId;
}
