// The place that each sealed secret is bound to: moved to another row or another use, it does not open. What D1 holds was sealed
// under these texts, so they never change.

/** Of a tenant's secret that signs its webhooks. */
export const WEBHOOK_SECRET_PLACE = "webhook";

/** Of an upstream's credential. */
export function credentialPlace(upstreamId: string): string {
  return `upstream:${upstreamId}`;
}
