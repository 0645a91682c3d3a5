// The cron: sends settings to the brokers that have missed a push, or were too many for one.
import { REPAIR_ENDPOINTS_MAX, REPAIR_ROUND_MAX_MS } from "../core/limits.ts";
import { pushBehind } from "../dispatch/push-behind.ts";

/** One round. */
export async function repairBrokers(env: Env, endpointsMax = REPAIR_ENDPOINTS_MAX): Promise<void> {
  await pushBehind(env, { endpointsMax, forMs: REPAIR_ROUND_MAX_MS });
}
