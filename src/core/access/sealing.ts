// The place that each sealed secret is bound to: a secret that is moved to another row or another use cannot be opened.
// The secrets in D1 were sealed under these texts, so the texts never change.

/** The place of a tenant's secret, which signs its webhooks. */
export const WEBHOOK_SECRET_PLACE = "webhook";

/** The place of an upstream's credential. */
export function credentialPlace(upstreamId: string): string {
  return `upstream:${upstreamId}`;
}

/** The place of a provider's credential. */
export function providerPlace(providerId: string): string {
  return `provider:${providerId}`;
}

/** The place of the environment of an endpoint's workers. */
export function envPlace(endpointId: string): string {
  return `env:${endpointId}`;
}

/** The place of the environment that a template gives the workers of its endpoints. */
export function templateEnvPlace(templateId: string): string {
  return `template-env:${templateId}`;
}

/** The place of a cursor of a tenant's jobs in an endpoint: of no other tenant, and of no other endpoint. */
export function jobCursorPlace(endpointId: string, tenantId: string): string {
  return `job-cursor:${endpointId}:${tenantId}`;
}
