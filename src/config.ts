// The environment of the Worker, parsed once in each isolate. One clear sentence reports each missing or wrong value.
import * as z from "zod";
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
  /** Which addresses upstreams and webhooks may have. */
  readonly reach: Reach;
  /** The address at which upstreams call back, without a slash at the end; null: they are not asked to call back. */
  readonly publicUrl: string | null;
  /** In lower case. Load-balanced endpoints are also reached at `{endpoint}.{lbDomain}`; null: by their paths alone. */
  readonly lbDomain: string | null;
}

let parsed: Config | undefined;

/** The settings of this deployment. Throws one error that names every missing or wrong value. */
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
