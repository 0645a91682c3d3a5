// Sealing of secrets that Waybill must be able to read again (upstream credentials, webhook secrets), digests and
// fingerprints of secrets that it must recognise. Web Crypto only: the command line imports this too.

import { toHex } from "../core/bytes/hex.ts";
import { keepOutOfLogs } from "../log.ts";

const VERSION = "v1";
const NONCE_BYTES = 12;
const ALGORITHM = "AES-GCM";
const HMAC = { name: "HMAC", hash: "SHA-256" };
const encoder = new TextEncoder();
let imported: { readonly pepper: string; readonly key: CryptoKey } | undefined;

/**
 * Seals a text with AES-256-GCM under `keyBase64` (32 bytes). `place` is one of core/access/sealing.ts: the text cannot
 * be opened for another one. Returns `v1.<base64url of nonce and ciphertext>`.
 */
export async function seal(plaintext: string, keyBase64: string, place: string): Promise<string> {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const params = { name: ALGORITHM, iv: nonce, additionalData: encoder.encode(place) };
  const sealed = new Uint8Array(
    await crypto.subtle.encrypt(params, await importKey(keyBase64), encoder.encode(plaintext)),
  );
  const bytes = new Uint8Array(NONCE_BYTES + sealed.length);
  bytes.set(nonce);
  bytes.set(sealed, NONCE_BYTES);
  return `${VERSION}.${toBase64Url(bytes)}`;
}

/** Opens what `seal` made. Throws when the key, the place or a byte differs; the message holds no secret. */
export async function open(sealed: string, keyBase64: string, place: string): Promise<string> {
  const plaintext = await openUnguarded(sealed, keyBase64, place);
  keepOutOfLogs(plaintext);
  return plaintext;
}

/** The same for what is no secret to be kept out of logs, such as a cursor, of which there are many. */
export async function openUnguarded(sealed: string, keyBase64: string, place: string): Promise<string> {
  const [version, text, ...rest] = sealed.split(".");
  if (version !== VERSION || text === undefined || rest.length > 0)
    throw new Error("the sealed secret has an unknown form");
  const key = await importKey(keyBase64);
  try {
    const bytes = fromBase64(text.replaceAll("-", "+").replaceAll("_", "/"));
    const params = {
      name: ALGORITHM,
      iv: bytes.subarray(0, NONCE_BYTES),
      additionalData: encoder.encode(place),
    };
    return new TextDecoder().decode(await crypto.subtle.decrypt(params, key, bytes.subarray(NONCE_BYTES)));
  } catch {
    throw new Error("the sealed secret does not open: was ENCRYPTION_KEY changed?");
  }
}

/** HMAC-SHA-256 of an API key under the pepper, 32 bytes. D1 stores it in hex, and never stores the key. */
export async function digestKey(key: string, pepper: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.sign(HMAC, await importPepper(pepper), encoder.encode(key)));
}

/** Kept, because the pepper stays the same for the life of an isolate, and importing it costs as much as using it. */
async function importPepper(pepper: string): Promise<CryptoKey> {
  if (imported?.pepper === pepper) return imported.key;
  const key = await crypto.subtle.importKey("raw", encoder.encode(pepper), HMAC, false, ["sign"]);
  imported = { pepper, key };
  return key;
}

/** The first 16 hex characters of a SHA-256 over the labelled secret: enough to see that the secret was changed. */
export async function keyFingerprint(secretText: string): Promise<string> {
  const bytes = encoder.encode(`waybill key fingerprint v1\n${secretText}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return toHex(digest.subarray(0, 8));
}

async function importKey(keyBase64: string): Promise<CryptoKey> {
  const bytes = fromBase64(keyBase64);
  if (bytes.length !== 32) throw new Error("ENCRYPTION_KEY must be 32 bytes in base64");
  return crypto.subtle.importKey("raw", bytes, ALGORITHM, false, ["encrypt", "decrypt"]);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

function toBase64Url(bytes: Uint8Array): string {
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
