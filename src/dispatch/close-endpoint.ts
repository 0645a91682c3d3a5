// Deletes an endpoint, for whatever API asked for it: D1 first, from where on no caller finds it, then its broker, which ends its jobs
// and is empty a day later. What a lost push leaves undone the cron repairs.
import { messageOf } from "../core/failure.ts";
import { deleteEndpoint } from "../db/deleted-endpoints.ts";
import { loadManySettings } from "../db/endpoints.ts";
import { runAll } from "../db/statement.ts";
import { noteTaken } from "../db/taken-versions.ts";
import { log } from "../log.ts";
import { BrokerClient } from "./broker-client.ts";

/**
 * Deletes the endpoint of this id; may be repeated. `applied` false: D1 has the deletion, and the cron brings it to the broker
 * within 5 min. Null: no endpoint has this id, or its broker is empty already. Throws when D1 does not answer: the endpoint
 * may be deleted then, and the same call once more finds out.
 */
export async function closeEndpoint(env: Env, endpointId: string): Promise<{ readonly applied: boolean } | null> {
  await runAll(env.DB, deleteEndpoint(endpointId, Date.now()));
  const [settings] = await loadManySettings(env.DB, [endpointId]);
  if (settings === undefined) return null;
  try {
    const configured = await new BrokerClient(env, endpointId).call("configure", settings);
    if (!configured.ok) return { applied: false };
    await noteTaken(env.DB, [{ endpointId, version: configured.value.version }]);
    return { applied: true };
  } catch (error) {
    log("closing_not_pushed", { endpoint: endpointId, error: messageOf(error) });
    return { applied: false };
  }
}
