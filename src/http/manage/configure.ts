// POST /v1/admin/configure: the command line has written settings to D1, and this call pushes them to the broker.
import { configureRequestSchema } from "../../contract/job-request.ts";
import { fail } from "../../core/failure.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { loadEndpointSettings } from "../../db/endpoints.ts";
import { noteTaken } from "../../db/taken-versions.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import { readJson } from "../kit/read-json.ts";
import type { Answered } from "../kit/route.ts";

/** Reads the settings from D1, not from a cache, and sends them to the broker; answers with the broker's version. */
export async function configure(c: RouteContext): Promise<Answered> {
  const body = await readJson(c.req.raw, configureRequestSchema);
  if (!body.ok) return body;
  const loaded = await askD1(() => loadEndpointSettings(c.env.DB, body.value.endpointId));
  if (!loaded.ok) return loaded;
  const settings = loaded.value;
  if (settings === null) return fail({ kind: "not_found", what: "endpoint" });
  const { endpointId } = settings;
  const configured = await new BrokerClient(c.env, endpointId).call("configure", settings);
  if (!configured.ok) return configured;
  const { version } = configured.value;
  // If D1 does not take this note, the cron makes one more call, and nothing else is lost.
  await askD1(() => noteTaken(c.env.DB, [{ endpointId, version }]));
  return jsonAnswer(200, { endpointId, version }, c.get("requestId"));
}
