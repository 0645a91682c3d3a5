// The export of a deployment or of one tenant: NDJSON, a first line about the whole, a line for each row, and a last line, without which
// it is not complete. Whatever is a secret is a digest or sealed.
import * as z from "zod";

/** In the order in which the rows can be written again: what others refer to comes first. */
export const EXPORTED_TABLES = [
  "gpu_tiers",
  "gpu_rates",
  "tenants",
  "templates",
  "providers",
  "endpoints",
  "releases",
  "upstreams",
  "api_keys",
  "usage_lines",
  "webhook_dead_letters",
  "audit_lines",
] as const;
export type ExportedTable = (typeof EXPORTED_TABLES)[number];

export const exportHeadSchema = z.strictObject({
  waybill: z.literal("export"),
  format: z.literal(1),
  /** The newest migration of the database: rows fit no other. */
  migration: z.string(),
  /** The only tenant that is in it; null: all. */
  tenant: z.string().nullable(),
  at: z.iso.datetime(),
  /** Fingerprints of the deployment's secrets, without which digests and sealed values are of no use. */
  secrets: z.strictObject({ pepper: z.string(), encryption_key: z.string() }),
});
export type ExportHead = z.infer<typeof exportHeadSchema>;

export const exportRowSchema = z.strictObject({
  table: z.enum(EXPORTED_TABLES),
  row: z.record(z.string(), z.union([z.string(), z.int(), z.null()])),
});
export type ExportRow = z.infer<typeof exportRowSchema>;

export const exportEndSchema = z.strictObject({ end: z.literal(true), rows: z.int() });
