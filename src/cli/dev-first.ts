// The tenant, key, endpoint and upstream of the first start on this machine, remembered for every later one.
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { updateUrl } from "../db/upstreams.ts";
import { type AdminContext, addUpstream, createEndpoint, createKey, createTenant } from "./admin-create.ts";
import { executeOnFolder } from "./dev-database.ts";
import type { DevSecrets } from "./dev-secrets.ts";
import { makePrivate, writePrivate } from "./private-file.ts";

const firstSchema = z.object({
  /** Digest of the secrets that the key and the sealed values were made with. */
  secrets: z.string(),
  tenantId: z.string(),
  key: z.string(),
  webhookSecret: z.string(),
  endpointId: z.string(),
  slug: z.string(),
  upstreamId: z.string(),
  upstreamUrl: z.string(),
  /** The key that the OCR worker requires from its callers. */
  workerKey: z.string(),
});
export type First = z.infer<typeof firstSchema>;

/** Reads what the first start made, or makes it; `made` states which. The broker must not run meanwhile. */
export async function ensureFirst(
  persistTo: string,
  secrets: DevSecrets,
  workerUrl: string,
): Promise<{ readonly first: First; readonly made: boolean }> {
  const path = join(persistTo, "first.json");
  const digest = createHash("sha256")
    .update(JSON.stringify([...secrets]))
    .digest("hex");
  if (existsSync(path)) makePrivate(path);
  const known = existsSync(path) ? firstSchema.parse(JSON.parse(readFileSync(path, "utf8"))) : null;
  if (known !== null && known.secrets !== digest) {
    throw new Error(`The secrets in .dev.vars are not those that ${persistTo} was made with: delete that folder.`);
  }
  if (known?.upstreamUrl === workerUrl) return { first: known, made: false };
  if (known !== null) await executeOnFolder(persistTo, [updateUrl(known.upstreamId, workerUrl)]);
  const first =
    known === null ? await make(persistTo, secrets, digest, workerUrl) : { ...known, upstreamUrl: workerUrl };
  writePrivate(path, `${JSON.stringify(first, null, 2)}\n`);
  return { first, made: known === null };
}

async function make(persistTo: string, secrets: DevSecrets, digest: string, workerUrl: string): Promise<First> {
  const context: AdminContext = {
    secrets: { pepper: secrets.get("PEPPER") ?? "", encryptionKey: secrets.get("ENCRYPTION_KEY") ?? "" },
    execute: (...statements) => executeOnFolder(persistTo, statements),
  };
  const tenant = await createTenant(context, { name: "First tenant" });
  const { tenantId } = tenant;
  const { key } = await createKey(context, { tenantId, scopes: ["jobs", "manage", "admin"], name: "development" });
  const slug = "ocr";
  const { endpointId } = await createEndpoint(context, { tenantId, slug });
  // The key that the OCR worker requires from its callers.
  const workerKey = randomBytes(24).toString("base64url");
  const { upstreamId } = await addUpstream(context, {
    endpointId,
    url: workerUrl,
    dialect: "runpod",
    local: false,
    slots: 1,
    tier: "a4000",
    rateKind: "flex",
    credential: workerKey,
  });
  return { secrets: digest, ...tenant, key, endpointId, slug, upstreamId, upstreamUrl: workerUrl, workerKey };
}
