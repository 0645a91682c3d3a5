// Sends the settings of an endpoint to its broker after D1 has them. A push that is lost is repeated by the cron within 5 min.
import { PUSH_MAX_MS } from "../core/manage/limits.ts";
import { within } from "../db/deadline.ts";
import { loadManySettings } from "../db/endpoints.ts";
import { noteTaken } from "../db/taken-versions.ts";
import { BrokerClient } from "../dispatch/broker-client.ts";
import { log } from "../log.ts";

/** True: the broker has these settings or newer ones. False: the cron will send them. */
export async function pushSettings(env: Env, endpointId: string): Promise<boolean> {
  try {
    return await within(PUSH_MAX_MS, push(env, endpointId), "the broker");
  } catch (error) {
    log("push_failed", { endpoint: endpointId, error: String(error) });
    return false;
  }
}

async function push(env: Env, endpointId: string): Promise<boolean> {
  // Those of a deleted endpoint, too, which its broker must learn of.
  const [settings] = await loadManySettings(env.DB, [endpointId]);
  if (settings === undefined) return false;
  const configured = await new BrokerClient(env, endpointId).call("configure", settings);
  if (!configured.ok) return false;
  const { version } = configured.value;
  // If D1 does not take this note, the cron makes one more call, and nothing else is lost.
  await noteTaken(env.DB, [{ endpointId, version }]).catch((error: unknown) =>
    log("push_not_noted", { endpoint: endpointId, error: String(error) }),
  );
  return version >= settings.version;
}
