// After a change that is one of many endpoints: their brokers are sent it once the call has been answered.
import { pushBehind } from "../../dispatch/push-behind.ts";
import { log } from "../../log.ts";
import type { RouteContext } from "../kit/context.ts";

/**
 * What the call itself sends: the platform ends such work 30 s after the answer, of which the last page may take five. The rest is the
 * cron's, which alone reaches 10,000 endpoints in 10 min (REPAIR_ENDPOINTS_MAX).
 */
const PUSH_AT_ONCE = { endpointsMax: 2_000, forMs: 20_000 };

/** Sends their settings to brokers that are behind, behind the answer. */
export function pushRest(c: RouteContext): void {
  const pushed = pushBehind(c.env, PUSH_AT_ONCE);
  c.executionCtx.waitUntil(pushed.catch((error: unknown) => log("push_rest_failed", { error: String(error) })));
}
