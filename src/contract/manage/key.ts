// API keys as /v1 shows and takes them. Keys of workers belong to an endpoint and have routes there (worker-key.ts).
import * as z from "zod";
import {
  KEY_ENDPOINTS_MAX,
  KEY_EXPIRES_IN_MAX_SECONDS,
  KEY_OVERLAP_DEFAULT_SECONDS,
  KEY_OVERLAP_MAX_SECONDS,
} from "../../core/manage/limits.ts";
import { tenantLimitsShape } from "./tenant.ts";
import { givenTimeSchema } from "./time.ts";

const name = z.string().min(1).max(200).meta({ description: "A name for people" });
/** `worker` is no scope that a request can give: a worker's key belongs to an endpoint. */
const scopes = z
  .array(
    z.enum(["jobs", "manage", "admin"], {
      error: "must be jobs, manage or admin; a worker's key is made under its endpoint's /worker-keys",
    }),
  )
  .min(1)
  .refine((all) => new Set(all).size === all.length, "may name each scope once")
  .meta({ description: "jobs: send jobs; manage: change what the tenant has; admin: operate the deployment" });
const endpointIds = z
  .array(z.string().min(1).max(100))
  .min(1)
  .max(KEY_ENDPOINTS_MAX)
  .meta({ description: "The only endpoints that the key opens, by id or slug" });

export const expiryShape = {
  expiresAt: givenTimeSchema.optional().meta({ description: "When the key ends" }),
  expiresInSeconds: z
    .int()
    .min(1)
    .max(KEY_EXPIRES_IN_MAX_SECONDS)
    .optional()
    .meta({ description: "The same, counted from this call" }),
};

/** One way to give an expiry is enough, and two may differ. */
export function isOneExpiry(body: {
  readonly expiresAt?: string | null | undefined;
  readonly expiresInSeconds?: number | undefined;
}): boolean {
  return body.expiresAt === undefined || body.expiresInSeconds === undefined;
}
export const ONE_EXPIRY = { path: ["expiresInSeconds"], error: "and expiresAt exclude each other" };

export const createKeySchema = z
  .strictObject({
    name: name.default("key"),
    scopes: scopes.default(["jobs"]),
    endpointIds: endpointIds.optional(),
    ...expiryShape,
    tenantId: z.string().min(1).max(100).optional().meta({ description: "With the scope admin: whose key it becomes" }),
  })
  .refine(isOneExpiry, ONE_EXPIRY)
  .meta({ id: "NewKey" });
export type CreateKey = z.infer<typeof createKeySchema>;

export const patchKeySchema = z
  .strictObject({
    name: name.optional(),
    scopes: scopes.optional(),
    endpointIds: endpointIds.nullable().optional().meta({ description: "null: all of its tenant's and public ones" }),
    ...expiryShape,
    expiresAt: givenTimeSchema.nullable().optional().meta({ description: "null: the key does not end" }),
  })
  .refine(isOneExpiry, ONE_EXPIRY)
  .meta({ id: "KeyPatch" });
export type PatchKey = z.infer<typeof patchKeySchema>;

export const rotateKeySchema = z
  .strictObject({
    overlapSeconds: z
      .int()
      .min(0)
      .max(KEY_OVERLAP_MAX_SECONDS)
      .default(KEY_OVERLAP_DEFAULT_SECONDS)
      .meta({ description: "For how long the old key goes on to work" }),
  })
  .meta({ id: "KeyRotation" });
export type RotateKey = z.infer<typeof rotateKeySchema>;

const keyShape = {
  id: z.string().meta({ description: "Stands in the key: wb_live_{id}_…" }),
  tenantId: z.string(),
  name: z.string(),
  scopes: z.array(z.string()),
  endpointIds: z.array(z.string()).nullable().meta({ description: "null: every endpoint that its tenant may call" }),
  expiresAt: z.iso.datetime().nullable(),
  revokedAt: z.iso.datetime().nullable(),
  version: z.int(),
  createdAt: z.iso.datetime(),
};
export const keySchema = z.object(keyShape).meta({ id: "Key" });
export type ShownKey = z.infer<typeof keySchema>;

/** The key itself, in the answer of its creation. */
export const keyText = z
  .string()
  .optional()
  .meta({ description: "Shown here alone, and not where a creation is repeated: only its digest is stored" });
export const createdKeySchema = z.object({ ...keyShape, key: keyText }).meta({ id: "CreatedKey" });

const effectiveAt = z.iso.datetime().meta({
  description: "By then no part of the deployment takes the key any more, unless its database is down",
});
export const rotatedKeySchema = z
  .object({
    ...keyShape,
    key: keyText,
    replaced: z.object({ id: z.string(), expiresAt: z.iso.datetime().nullable(), effectiveAt }).optional(),
  })
  .meta({ id: "RotatedKey" });
export const revokedKeySchema = z.object({ ...keyShape, effectiveAt }).meta({ id: "RevokedKey" });

/** What a key learns of itself. */
export const selfSchema = z
  .object({
    keyId: z.string(),
    name: z.string(),
    tenantId: z.string(),
    scopes: z.array(z.string()),
    endpointIds: z.array(z.string()).nullable(),
    expiresAt: z.iso.datetime().nullable(),
    ...tenantLimitsShape,
  })
  .meta({ id: "Self" });
