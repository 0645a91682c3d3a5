// The cron's second part: once a day the broker of each endpoint with a fleet asks its providers what they have. A machine that no record
// owns, at an endpoint that has no machine, is found by nothing else, and is paid for as long as it lives.
import { FLEET_SWEEPS_MAX } from "../core/fleet/limits.ts";
import { REPAIR_CALL_MAX_MS } from "../core/limits.ts";
import { within } from "../db/deadline.ts";
import { listSweptAt } from "../db/endpoint-fleets.ts";
import { brokerOf } from "../dispatch/broker-client.ts";
import { log } from "../log.ts";

const HOUR_MS = 3_600_000;
/** The cron comes every five minutes, and this is done by the first one of an hour. */
const ROUND_MS = 300_000;

/** Each endpoint has its hour. `atMs`: when the cron was to come. A broker that does not answer is asked a day later. */
export async function sweepFleets(env: Env, atMs: number): Promise<void> {
  if (atMs % HOUR_MS >= ROUND_MS) return;
  const hours = Math.floor(atMs / HOUR_MS);
  const when = { day: Math.floor(hours / 24), hour: hours % 24 };
  const endpointIds = await listSweptAt(env.DB, { ...when, limit: FLEET_SWEEPS_MAX });
  await Promise.all(endpointIds.map((endpointId) => sweep(env, endpointId)));
}

async function sweep(env: Env, endpointId: string): Promise<void> {
  try {
    await within(REPAIR_CALL_MAX_MS, brokerOf(env, endpointId).sweepFleet(), "the broker");
  } catch (error) {
    log("fleet_sweep_failed", { endpoint: endpointId, error: String(error) });
  }
}
