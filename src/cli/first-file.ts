// first.json beside the state of a local broker: the tenant and key that setup or the first start has made, and what npm start has made
// with them, one after the other.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import type { AdminSecrets } from "./admin-secrets.ts";
import type { DevSecrets } from "./dev-secrets.ts";
import type { FirstTenant } from "./init.ts";
import { makePrivate, writePrivate } from "./private-file.ts";

const firstSchema = z.object({
  /** Digest of the secrets that the key and the sealed values were made with. */
  secrets: z.string(),
  tenantId: z.string(),
  key: z.string(),
  webhookSecret: z.string(),
  /** The endpoint of npm start, once it is made. */
  endpointId: z.string().optional(),
  slug: z.string().optional(),
  /** The key of its worker, by its id, and the environment that it is in. */
  worker: z.object({ keyId: z.string(), environment: z.record(z.string(), z.string()) }).optional(),
  /** Of an earlier release, which called its worker. */
  upstreamId: z.string().optional(),
});
export type First = z.infer<typeof firstSchema>;

/** Null: nothing is made yet. Throws a sentence where it was made with other secrets. */
export function readFirst(state: string, secrets: DevSecrets): First | null {
  const path = pathIn(state);
  if (!existsSync(path)) return null;
  makePrivate(path);
  const first = firstSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  // An earlier release digested every variable of .dev.vars.
  if (first.secrets === secretsDigest(secrets) || first.secrets === digest([...secrets])) return first;
  throw new Error(`The secrets in .dev.vars are not those that ${state} was made with: delete that folder.`);
}

export function writeFirst(state: string, first: First): void {
  writePrivate(pathIn(state), `${JSON.stringify(first, null, 2)}\n`);
}

/** Keeps what setup has made, if nothing is kept yet. False: an earlier tenant is, whose endpoint npm start uses. */
export function keepFirst(state: string, { pepper, encryptionKey }: AdminSecrets, made: FirstTenant): boolean {
  if (existsSync(pathIn(state))) return false;
  const secrets = new Map(Object.entries({ PEPPER: pepper, ENCRYPTION_KEY: encryptionKey }));
  writeFirst(state, { secrets: secretsDigest(secrets), ...made });
  return true;
}

/** Tells the secrets from others without holding them. */
export function secretsDigest(secrets: DevSecrets): string {
  return digest(["PEPPER", "ENCRYPTION_KEY"].map((name) => [name, secrets.get(name) ?? ""]));
}

function pathIn(state: string): string {
  return join(state, "first.json");
}

function digest(entries: readonly (readonly string[])[]): string {
  return createHash("sha256").update(JSON.stringify(entries)).digest("hex");
}
