// Deletes an endpoint, for whatever API asked for it: D1 first, from where on no caller finds it, then its broker, which ends its jobs
// and is empty a day later. What a lost push leaves undone the cron repairs.
import { deleteEndpoint } from "../db/deleted-endpoints.ts";
import { loadManySettings } from "../db/endpoints.ts";
import { runAll, type Statement } from "../db/statement.ts";
import { pushSettings } from "./push.ts";

/**
 * Deletes the endpoint of this id; may be repeated. `alongside`: the caller's statements of the same batch, such as the version that it
 * expects and the line of the audit; they come first. `applied` false: D1 has the deletion, and the cron brings it to the broker
 * within 5 min. Null: no endpoint has this id, or its broker is empty already. Throws when D1 does not answer: the endpoint may be
 * deleted then, and the same call once more finds out.
 */
export async function closeEndpoint(
  env: Env,
  endpointId: string,
  alongside: readonly Statement[] = [],
): Promise<{ readonly applied: boolean } | null> {
  await runAll(env.DB, [...alongside, ...deleteEndpoint(endpointId, Date.now())]);
  const [settings] = await loadManySettings(env.DB, [endpointId]);
  return settings === undefined ? null : { applied: await pushSettings(env, endpointId) };
}
