// The text of a secret that signs webhooks, a tenant's or the calls of a provider: `whsec_` and base64, as Standard Webhooks writes it.

/** Random bytes of one: as long as the digest that it keys, SHA-256. */
export const WEBHOOK_SECRET_BYTES = 32;

/** A secret from random bytes (WEBHOOK_SECRET_BYTES of them). */
export function makeWebhookSecret(random: Uint8Array): string {
  return `whsec_${btoa(String.fromCharCode(...random))}`;
}

/** Is it such a secret? Standard Webhooks wants 24 to 64 bytes. */
export function isWebhookSecret(text: string): boolean {
  const [, base64 = ""] = /^whsec_((?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/.exec(text) ?? [];
  const bytes = (base64.length / 4) * 3 - (base64.length - base64.replaceAll("=", "").length);
  return bytes >= SECRET_MIN_BYTES && bytes <= SECRET_MAX_BYTES;
}

const SECRET_MIN_BYTES = 24;
const SECRET_MAX_BYTES = 64;
