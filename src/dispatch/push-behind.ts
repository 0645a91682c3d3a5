// Sends settings to the brokers whose settings are old, page by page. It calls no other, so that idle objects stay evicted.
import type { EndpointSettings } from "../contract/settings.ts";
import { REPAIR_CALL_MAX_MS, REPAIR_PAGE_ENDPOINTS } from "../core/limits.ts";
import { within } from "../db/deadline.ts";
import { loadManySettings } from "../db/endpoints.ts";
import { listBehindOf, noteTaken, type TakenVersion, takeBehind } from "../db/taken-versions.ts";
import { log } from "../log.ts";
import { brokerOf } from "./broker-client.ts";

/** How much one run may do. `forMs`: no page is begun later than this after the first one. */
export interface PushBounds {
  readonly endpointsMax: number;
  readonly forMs: number;
}

/** One run, with a bounded number of calls. A failed one is logged and left to a later run, after all others. */
export async function pushBehind(env: Env, { endpointsMax, forMs }: PushBounds): Promise<void> {
  const startedMs = Date.now();
  const behind = await takeBehind(env.DB, endpointsMax);
  for (let at = 0; at < behind.length && Date.now() < startedMs + forMs; at += REPAIR_PAGE_ENDPOINTS) {
    await pushPage(env, behind.slice(at, at + REPAIR_PAGE_ENDPOINTS)).catch((error: unknown) =>
      log("repair_page_failed", { error: String(error) }),
    );
  }
}

/** One page of a tenant's endpoints. True: no broker of the tenant is behind any more. */
export async function pushBehindOf(env: Env, tenantId: string): Promise<boolean> {
  const behind = await listBehindOf(env.DB, tenantId, REPAIR_PAGE_ENDPOINTS + 1);
  const page = behind.slice(0, REPAIR_PAGE_ENDPOINTS);
  const taken = page.length === 0 ? 0 : await pushPage(env, page);
  return taken === behind.length;
}

/** How many brokers have answered. */
async function pushPage(env: Env, endpointIds: readonly string[]): Promise<number> {
  const settings = await loadManySettings(env.DB, endpointIds);
  const versions = await Promise.all(settings.map((each) => push(env, each)));
  const taken = versions.filter((each) => each !== null);
  await noteTaken(env.DB, taken);
  return taken.length;
}

/** Sends the broker its settings. Returns the version that it has now; null: it did not answer. */
async function push(env: Env, settings: EndpointSettings): Promise<TakenVersion | null> {
  const { endpointId } = settings;
  try {
    const telling = brokerOf(env, endpointId).configure(settings);
    const { version } = await within(REPAIR_CALL_MAX_MS, telling, "the broker");
    return { endpointId, version };
  } catch (error) {
    log("repair_failed", { endpoint: endpointId, error: String(error) });
    return null;
  }
}
