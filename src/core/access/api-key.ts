// The text of an API key: wb_live_<id>_<secret>_<checksum>. A double click selects all of it, secret scanners
// can recognise it, and a typing error is refused before any storage is asked.

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_CHARS = 12;
/** 43 characters of base 62 hold 256 bits. */
const SECRET_CHARS = 43;
const CHECKSUM_CHARS = 6;

/** The text that every key begins with. */
export const API_KEY_PREFIX = "wb_live_";
const base62 = (chars: number) => `([0-9A-Za-z]{${chars}})`;
const FORM = `${API_KEY_PREFIX}${base62(ID_CHARS)}_${base62(SECRET_CHARS)}_${base62(CHECKSUM_CHARS)}`;
const KEY = new RegExp(`^${FORM}$`);
const ANY_KEY = new RegExp(FORM, "g");
const KEY_ID = new RegExp(`^${base62(ID_CHARS)}$`);

/** Random bytes for one key. Bytes over 247 are skipped, as they would favour some characters; so some are spare. */
export const KEY_RANDOM_BYTES = 128;

/** A key from random bytes (KEY_RANDOM_BYTES of them). */
export function makeApiKey(random: Uint8Array): { readonly id: string; readonly key: string } {
  const fair = [...random].filter((byte) => byte < 248).map((byte) => ALPHABET.charAt(byte % 62));
  if (fair.length < ID_CHARS + SECRET_CHARS) throw new Error("too few random bytes for a key");
  const id = fair.slice(0, ID_CHARS).join("");
  return { id, key: keyText(id, fair.slice(ID_CHARS, ID_CHARS + SECRET_CHARS).join("")) };
}

/** Bytes of a secret that a key can be made of. */
export const KEY_SECRET_BYTES = 32;

/** The key with this id (ID_CHARS letters and digits) whose secret is these bytes (KEY_SECRET_BYTES of them). */
export function apiKeyOf(id: string, secret: Uint8Array): string {
  if (!KEY_ID.test(id)) throw new Error(`"${id}" cannot be the id of a key`);
  if (secret.length !== KEY_SECRET_BYTES) throw new Error("the secret of a key has another length");
  let rest = secret.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  let text = "";
  for (let place = 0; place < SECRET_CHARS; place += 1) {
    text = ALPHABET.charAt(Number(rest % 62n)) + text;
    rest /= 62n;
  }
  return keyText(id, text);
}

function keyText(id: string, secret: string): string {
  const stem = `${API_KEY_PREFIX}${id}_${secret}`;
  return `${stem}_${checksum(stem)}`;
}

/** The text with every key in it blanked: for what others have written who have been given one. */
export function blankApiKeys(text: string): string {
  return text.replace(ANY_KEY, (key) => "*".repeat(key.length));
}

/** The id of a well-formed key whose checksum is right; null otherwise. */
export function parseApiKey(text: string): { readonly id: string } | null {
  const [, id, , sum] = KEY.exec(text) ?? [];
  const stem = text.slice(0, text.lastIndexOf("_"));
  return id !== undefined && sum === checksum(stem) ? { id } : null;
}

/** Has the key ended? Times are epoch ms; null: it is not revoked, or has no expiry. */
export function isKeyOver(
  { revokedAtMs, expiresAtMs }: { readonly revokedAtMs: number | null; readonly expiresAtMs: number | null },
  nowMs: number,
): boolean {
  return revokedAtMs !== null || (expiresAtMs !== null && expiresAtMs <= nowMs);
}

/** CRC-32 in CHECKSUM_CHARS characters of base 62. */
function checksum(text: string): string {
  let crc = 0xffffffff;
  for (let at = 0; at < text.length; at += 1) {
    crc ^= text.charCodeAt(at);
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  let rest = (crc ^ 0xffffffff) >>> 0;
  let chars = "";
  for (let place = 0; place < CHECKSUM_CHARS; place += 1) {
    chars = ALPHABET.charAt(rest % 62) + chars;
    rest = Math.floor(rest / 62);
  }
  return chars;
}
