// The cron: sends settings to the brokers whose settings are old. It calls no other, so that idle objects stay evicted.
import type { EndpointSettings } from "../contract/settings.ts";
import { REPAIR_CALL_MAX_MS, REPAIR_ENDPOINTS_MAX, REPAIR_PAGE_ENDPOINTS } from "../core/limits.ts";
import { within } from "../db/deadline.ts";
import { loadManySettings } from "../db/endpoints.ts";
import { noteTaken, type TakenVersion, takeBehind } from "../db/taken-versions.ts";
import { brokerOf } from "../dispatch/broker-client.ts";
import { log } from "../log.ts";

/** One round, with a bounded number of calls. A failed repair is logged and left to a later round, after all others. */
export async function repairBrokers(env: Env): Promise<void> {
  const behind = await takeBehind(env.DB, REPAIR_ENDPOINTS_MAX);
  for (let at = 0; at < behind.length; at += REPAIR_PAGE_ENDPOINTS) {
    await repairPage(env, behind.slice(at, at + REPAIR_PAGE_ENDPOINTS)).catch((error: unknown) =>
      log("repair_page_failed", { error: String(error) }),
    );
  }
}

async function repairPage(env: Env, endpointIds: readonly string[]): Promise<void> {
  const settings = await loadManySettings(env.DB, endpointIds);
  const versions = await Promise.all(settings.map((each) => repair(env, each)));
  const taken = versions.filter((each) => each !== null);
  await noteTaken(env.DB, taken);
}

/** Sends the broker its settings. Returns the version that it has now; null: it did not answer. */
async function repair(env: Env, settings: EndpointSettings): Promise<TakenVersion | null> {
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
