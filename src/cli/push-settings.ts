// Informs a running deployment that an endpoint was changed in D1. Without this push its cron does the same, later.
import { readSecret } from "./admin-secrets.ts";

/** Pushes the endpoint's settings to its broker if `brokerUrl` is given; else prints when the broker will have them. */
export async function pushSettings(endpointId: string, brokerUrl: string | undefined): Promise<void> {
  if (brokerUrl === undefined) {
    console.error("Written. Without --broker the edge sees it within 30 s and the broker within 5 min.");
    return;
  }
  const key = await readSecret("WAYBILL_KEY", "admin key");
  const response = await fetch(new URL("/v1/admin/configure", brokerUrl), {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ endpointId }),
  }).catch((error: unknown) => {
    // The message of fetch is only "fetch failed"; the reason is in its cause.
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new Error(`written, but ${brokerUrl} cannot be told: ${cause}`);
  });
  if (!response.ok) throw new Error(`${brokerUrl} answered ${response.status} to configure: ${await response.text()}`);
}
