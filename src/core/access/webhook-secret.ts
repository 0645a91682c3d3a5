// The text of a secret that signs a tenant's webhooks: `whsec_` and base64, as Standard Webhooks writes it.

/** Random bytes of one: as long as the digest that it keys, SHA-256. */
export const WEBHOOK_SECRET_BYTES = 32;

/** A secret from random bytes (WEBHOOK_SECRET_BYTES of them). */
export function makeWebhookSecret(random: Uint8Array): string {
  return `whsec_${btoa(String.fromCharCode(...random))}`;
}
