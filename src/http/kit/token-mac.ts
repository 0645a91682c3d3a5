// Signs tokens for browsers and checks them: HMAC-SHA-256 under a key derived from the pepper, over the text of the grant. So a token
// needs no row anywhere, and one that is made up costs neither D1 nor an object.
import { readGrant, writeGrant } from "../../contract/browser-token.ts";
import { BROWSER_TOKEN_PREFIX, splitToken, type TokenGrant } from "../../core/access/browser-token.ts";

const HMAC = { name: "HMAC", hash: "SHA-256" };
const BASE64URL = { alphabet: "base64url" } as const;
const encoder = new TextEncoder();
/** The pepper stays the same for the life of an isolate. */
let tokenKey: Promise<CryptoKey> | undefined;

export async function signToken(grant: TokenGrant, pepper: string): Promise<string> {
  const text = encoder.encode(writeGrant(grant)).toBase64({ ...BASE64URL, omitPadding: true });
  tokenKey ??= deriveKey(pepper);
  const mac = new Uint8Array(await crypto.subtle.sign(HMAC, await tokenKey, encoder.encode(text)));
  return `${BROWSER_TOKEN_PREFIX}${text}.${mac.toBase64({ ...BASE64URL, omitPadding: true })}`;
}

/** The grant of a genuine token, also of one that has ended; null: we have not made it. Takes the same time for any MAC. */
export async function openToken(token: string, pepper: string): Promise<TokenGrant | null> {
  const parts = splitToken(token);
  if (parts === null) return null;
  tokenKey ??= deriveKey(pepper);
  const mac = Uint8Array.fromBase64(`${parts.mac}=`, BASE64URL);
  if (!(await crypto.subtle.verify(HMAC, await tokenKey, mac, encoder.encode(parts.grant)))) return null;
  return readGrant(new TextDecoder().decode(Uint8Array.fromBase64(parts.grant, BASE64URL)));
}

/** The MACs have a key of their own, because API keys are digested under the pepper itself. */
async function deriveKey(pepper: string): Promise<CryptoKey> {
  const master = await crypto.subtle.importKey("raw", encoder.encode(pepper), HMAC, false, ["sign"]);
  const derived = await crypto.subtle.sign(HMAC, master, encoder.encode("waybill browser token v1"));
  return crypto.subtle.importKey("raw", derived, HMAC, false, ["sign", "verify"]);
}
