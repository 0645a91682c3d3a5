// What a token for browsers opens, and its text: wb_tok_<grant>.<mac>, both in base64url. Who made it can read the grant, and so can
// everybody who holds it: nothing in it is a secret. src/http/kit/token-mac.ts makes and checks the MAC.

/** What a token can be let do with the jobs that it has submitted. */
export const TOKEN_SCOPES = ["submit", "status", "stream", "cancel"] as const;
export type TokenScope = (typeof TOKEN_SCOPES)[number];

export interface TokenGrant {
  /** Random: the endpoint's broker counts the token's submits under it, and its jobs carry it. */
  readonly id: string;
  /** The key that made it, with whose end it ends. */
  readonly keyId: string;
  readonly tenantId: string;
  readonly endpointId: string;
  readonly expiresAtMs: number;
  /** How many jobs it may submit. */
  readonly calls: number;
  readonly allow: readonly TokenScope[];
  /** The only origin whose pages may use it; null: each that the endpoint allows, and what is no page. */
  readonly origin: string | null;
}

/** The text that every token begins with. */
export const BROWSER_TOKEN_PREFIX = "wb_tok_";
/** A grant of the longest ids and the longest origin has some 700 bytes, of which base64 makes a third more. */
const TOKEN = new RegExp(`^${BROWSER_TOKEN_PREFIX}([A-Za-z0-9_-]{1,1200})\\.([A-Za-z0-9_-]{43})$`);

/** The two parts of a token's text; null: it is none. */
export function splitToken(text: string): { readonly grant: string; readonly mac: string } | null {
  const [, grant, mac] = TOKEN.exec(text) ?? [];
  return grant === undefined || mac === undefined ? null : { grant, mac };
}
