// The cron: brings settings to a broker that missed a push, and wakes one whose alarm was lost.
import { listEndpointIds, loadEndpointSettings } from "../db/endpoints.ts";
import { brokerOf } from "../dispatch/keeper.ts";
import { log } from "../log.ts";

const PAGE = 100;

/** Walks all endpoints. One that fails is logged and left to the next round. */
export async function repairBrokers(env: Env): Promise<void> {
  for (let page = await listEndpointIds(env.DB, "", PAGE); page.length > 0; ) {
    for (const endpointId of page) await repair(env, endpointId);
    page = await listEndpointIds(env.DB, page.at(-1) ?? "", PAGE);
  }
}

async function repair(env: Env, endpointId: string): Promise<void> {
  try {
    const settings = await loadEndpointSettings(env.DB, endpointId);
    if (settings !== null) await brokerOf(env, endpointId).configure(settings);
  } catch (error) {
    log("repair_failed", { endpoint: endpointId, error: String(error) });
  }
}
