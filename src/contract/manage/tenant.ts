// Tenants as /v1 shows and takes them.
import * as z from "zod";
import { LIVE_JOBS_MAX } from "../../core/limits.ts";
import { changedLimitsSchema } from "../identity.ts";

const nameSchema = z.string().min(1).max(200).meta({ description: "A name for people; it need not be unique" });
const waitingMaxSchema = z
  .int()
  .min(0)
  .max(LIVE_JOBS_MAX)
  .meta({ description: "Waiting jobs that the tenant may have in each endpoint" });

const runningMaxSchema = z.int().min(1).max(LIVE_JOBS_MAX).nullable().meta({
  description:
    "Jobs that the tenant may run at once in each queue endpoint; further ones wait. null: no bound. Load-balanced requests do not count",
});
const limitsSchema = changedLimitsSchema.nullable().meta({
  description:
    "Limits of each key's calls at one endpoint, by operation; an operation that is left out, or null, has the default limits. Each " +
    "isolate of the deployment counts for itself",
});
const limitsShape = {
  waitingMax: waitingMaxSchema.optional(),
  runningMax: runningMaxSchema.optional(),
  limits: limitsSchema.optional(),
};

export const createTenantSchema = z.strictObject({ name: nameSchema, ...limitsShape }).meta({ id: "NewTenant" });
export type CreateTenant = z.infer<typeof createTenantSchema>;

export const patchTenantSchema = z
  .strictObject({ name: nameSchema.optional(), ...limitsShape })
  .meta({ id: "TenantPatch" });
export type PatchTenant = z.infer<typeof patchTenantSchema>;

/** The limits of a tenant as answers show them. */
export const tenantLimitsShape = {
  waitingMax: z.int().meta({ description: "Waiting jobs that the tenant may have in each endpoint" }),
  runningMax: runningMaxSchema,
  limits: limitsSchema,
};

const tenantShape = {
  id: z.string(),
  name: z.string(),
  ...tenantLimitsShape,
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
