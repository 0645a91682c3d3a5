// The environment of the Worker, parsed once an isolate. A missing or wrong value is one clear sentence.
import { z } from "zod";
import type { Reach } from "./core/access/reach.ts";

const configSchema = z.object({
  PEPPER: z
    .string({ error: "the secret PEPPER is not set" })
    .min(32, "the secret PEPPER must have at least 32 characters"),
  ENCRYPTION_KEY: z
    .string({ error: "the secret ENCRYPTION_KEY is not set" })
    .regex(/^[A-Za-z0-9+/]{43}=$/, "the secret ENCRYPTION_KEY must be 32 bytes in base64"),
  ALLOW_PRIVATE_ADDRESSES: z.enum(["yes", "no"], {
    error: 'the variable ALLOW_PRIVATE_ADDRESSES must be "yes" or "no"',
  }),
  PUBLIC_URL: z
    .union([z.literal(""), z.url({ protocol: /^https?$/ }).regex(/^[^?#]*$/)], {
      error: "the variable PUBLIC_URL must be empty or the address of this deployment",
    })
    .default(""),
  LB_DOMAIN: z
    .string({ error: "the variable LB_DOMAIN must be empty or a domain" })
    .regex(/^([a-z0-9-]+\.)*[a-z0-9-]*$/i, "the variable LB_DOMAIN must be empty or a domain")
    .default(""),
});

export interface Config {
  readonly pepper: string;
  readonly encryptionKey: string;
  /** Where upstreams and webhooks may be. */
  readonly reach: Reach;
  /** Where upstreams call back; null: they are not asked to. Without a slash at the end. */
  readonly publicUrl: string | null;
  /** Hosts `{endpoint}.{lbDomain}` are load-balanced endpoints; null: they have only their paths. In lower case. */
  readonly lbDomain: string | null;
}

let parsed: Config | undefined;

/** The settings of this deployment. Throws one sentence that names every missing or wrong one. */
export function readConfig(env: Env): Config {
  if (parsed !== undefined) return parsed;
  const result = configSchema.safeParse(env);
  if (!result.success)
    throw new Error(`Waybill cannot start: ${result.error.issues.map((issue) => issue.message).join("; ")}.`);
  const publicUrl = result.data.PUBLIC_URL === "" ? null : result.data.PUBLIC_URL.replace(/\/+$/, "");
  const lbDomain = result.data.LB_DOMAIN === "" ? null : result.data.LB_DOMAIN.toLowerCase();
  parsed = {
    pepper: result.data.PEPPER,
    encryptionKey: result.data.ENCRYPTION_KEY,
    reach: { allowPrivate: result.data.ALLOW_PRIVATE_ADDRESSES === "yes", publicUrl, lbDomain },
    publicUrl,
    lbDomain,
  };
  return parsed;
}
