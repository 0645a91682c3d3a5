// Tenants as /v1 shows and takes them.
import * as z from "zod";
import { LIVE_JOBS_MAX } from "../../core/limits.ts";

const nameSchema = z.string().min(1).max(200).meta({ description: "A name for people; it need not be unique" });
const waitingMaxSchema = z
  .int()
  .min(0)
  .max(LIVE_JOBS_MAX)
  .meta({ description: "Waiting jobs that the tenant may have in each endpoint" });

export const createTenantSchema = z
  .strictObject({ name: nameSchema, waitingMax: waitingMaxSchema.optional() })
  .meta({ id: "NewTenant" });
export type CreateTenant = z.infer<typeof createTenantSchema>;

export const patchTenantSchema = z
  .strictObject({ name: nameSchema.optional(), waitingMax: waitingMaxSchema.optional() })
  .meta({ id: "TenantPatch" });
export type PatchTenant = z.infer<typeof patchTenantSchema>;

const tenantShape = {
  id: z.string(),
  name: z.string(),
  waitingMax: z.int().meta({ description: "Waiting jobs that the tenant may have in each endpoint" }),
  version: z.int(),
  createdAt: z.iso.datetime(),
};
export const tenantSchema = z.object(tenantShape).meta({ id: "Tenant" });
/** After its creation. */
export const createdTenantSchema = z
  .object({
    ...tenantShape,
    webhookSecret: z
      .string()
      .optional()
      .meta({ description: "Verifies the tenant's webhooks; shown here alone, and not where a creation is repeated" }),
  })
  .meta({ id: "CreatedTenant" });
