// Tokens for browsers as /v1 takes and shows them. They are signed and nowhere stored, so there is no list of them.
import * as z from "zod";
import { TOKEN_SCOPES } from "../../core/access/browser-token.ts";
import { TOKEN_CALLS_MAX, TOKEN_LIFE_DEFAULT_SECONDS, TOKEN_LIFE_MAX_SECONDS } from "../../core/access/limits.ts";
import { originSchema } from "./endpoint.ts";

const scope = z.enum(TOKEN_SCOPES);

export const createTokenSchema = z
  .strictObject({
    expiresInSeconds: z
      .int()
      .min(1)
      .max(TOKEN_LIFE_MAX_SECONDS)
      .default(TOKEN_LIFE_DEFAULT_SECONDS)
      .meta({ description: "How long it is good; it ends with its key in any case" }),
    calls: z.int().min(1).max(TOKEN_CALLS_MAX).default(1).meta({ description: "How many jobs it may submit" }),
    allow: z
      .array(scope)
      .min(1)
      .refine((all) => new Set(all).size === all.length, "may name each once")
      .default([...TOKEN_SCOPES])
      .meta({ description: "submit: /run and /runsync; status: /status and /status-sync; stream; cancel" }),
    origin: originSchema.optional().meta({ description: "The only origin whose pages may use it" }),
  })
  .meta({ id: "NewToken" });
export type CreateToken = z.infer<typeof createTokenSchema>;

export const createdTokenSchema = z
  .object({
    token: z.string().meta({ description: "wb_tok_…: shown this once" }),
    id: z.string(),
    endpointId: z.string(),
    expiresAt: z.iso.datetime(),
    calls: z.int(),
    allow: z.array(scope),
    origin: z.string().nullable(),
  })
  .meta({ id: "CreatedToken" });
