// POST /v1/admin/configure: settings were written to D1 by hand, and this call pushes them to the broker.
import * as z from "zod";
import { type ConfigureRequest, configureRequestSchema } from "../../contract/job-request.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { loadEndpointSettings } from "../../db/endpoints.ts";
import { noteTaken } from "../../db/taken-versions.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { opens } from "../../manage/context.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";

export const CONFIGURE_ROUTES: readonly Route[] = [
  operation({
    plane: "v1",
    tag: "Operations",
    method: "POST",
    path: "/v1/admin/configure",
    id: "configureBroker",
    summary: "Send an endpoint's settings to its broker",
    description: "For settings that were written to the database by hand. The cron does the same within 5 min.",
    scopes: ["admin"],
    kind: "acts",
    query: z.strictObject({}),
    body: configureRequestSchema,
    answers: {
      200: {
        description: "The version that the broker has",
        schema: z.object({ endpointId: z.string(), version: z.int() }),
      },
    },
    refusals: [404],
    handle: configure,
  }),
];

/** Reads the settings from D1, not from a cache, and sends them to the broker; answers with the broker's version. */
async function configure({
  env,
  caller,
  body,
}: OperationCall<unknown, unknown, ConfigureRequest>): Promise<Result<Reply>> {
  const loaded = await askD1(() => loadEndpointSettings(env.DB, body.endpointId));
  if (!loaded.ok) return loaded;
  const settings = loaded.value;
  if (settings === null || !opens(caller, settings.endpointId)) return fail({ kind: "not_found", what: "endpoint" });
  const { endpointId } = settings;
  const configured = await new BrokerClient(env, endpointId).call("configure", settings);
  if (!configured.ok) return configured;
  const { version } = configured.value;
  // If D1 does not take this note, the cron makes one more call, and nothing else is lost.
  await askD1(() => noteTaken(env.DB, [{ endpointId, version }]));
  return ok({ status: 200, body: { endpointId, version } });
}
