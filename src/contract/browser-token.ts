// The grant of a token for browsers as it stands in the token's text. Members are only added at the end: a token that an earlier
// release has made is good until it ends.
import * as z from "zod";
import { TOKEN_SCOPES, type TokenGrant } from "../core/access/browser-token.ts";

const grantSchema = z.tuple([
  z.literal(1),
  z.string(),
  z.string(),
  z.string(),
  z.string(),
  z.int(),
  z.int(),
  z.array(z.enum(TOKEN_SCOPES)),
  z.string().nullable(),
]);

export function writeGrant(grant: TokenGrant): string {
  const { id, keyId, tenantId, endpointId, expiresAtMs, calls, allow, origin } = grant;
  return JSON.stringify([1, id, keyId, tenantId, endpointId, expiresAtMs, calls, allow, origin]);
}

/** The grant of a text whose MAC is genuine; null: another release wrote it in a form that this one does not know. */
export function readGrant(text: string): TokenGrant | null {
  const read = grantSchema.safeParse(JSON.parse(text));
  if (!read.success) return null;
  const [, id, keyId, tenantId, endpointId, expiresAtMs, calls, allow, origin] = read.data;
  return { id, keyId, tenantId, endpointId, expiresAtMs, calls, allow, origin };
}

/** What a broker is told of the token that submits a job. */
export interface SubmittingToken {
  readonly id: string;
  readonly calls: number;
  readonly expiresAtMs: number;
}
