// /v1/endpoints/{endpoint}/timing: how long jobs wait and run and machines start, warm and cold apart.
import * as z from "zod";
import { timingSchema } from "../../contract/manage/timing.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import type { JobTiming, StartTiming } from "../../core/fleet/timings.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { findOwnEndpoint } from "../kit/find-endpoint.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";

export const TIMING_ROUTES: readonly Route[] = [
  operation({
    plane: "v1",
    tag: "Workers",
    params: endpointParams,
    method: "GET",
    path: "/v1/endpoints/:endpoint/timing",
    id: "getTiming",
    summary: "Read how long jobs wait and run and machines start",
    description:
      "Percentiles of the newest jobs, of all tenants, that completed or whose handler reported an error, those that waited for a " +
      "machine's start apart from all others, and of the newest starts of machines.",
    scopes: ["jobs", "manage", "admin"],
    kind: "reads",
    query: z.strictObject({}),
    answers: { 200: { description: "What they took", schema: timingSchema } },
    handle: read,
  }),
];

async function read({
  env,
  caller,
  params,
  nowMs,
}: OperationCall<EndpointParams, unknown, unknown>): Promise<Result<Reply>> {
  const found = await findOwnEndpoint(params.endpoint, caller, env, nowMs);
  if (!found.ok) return found;
  const { settings } = found.value;
  const { tenantId, endpointId } = settings;
  const timing = await new BrokerClient(env, endpointId, settings).call("readTiming", { tenantId });
  if (!timing.ok) return timing;
  if (timing.value === null) return fail({ kind: "not_found", what: "endpoint" });
  const { warm, cold, starts } = timing.value;
  const shownStarts = { created: show(starts.created), resumed: show(starts.resumed) };
  return ok({ status: 200, body: { warm: show(warm), cold: show(cold), starts: shownStarts } });
}

function show<T extends JobTiming | StartTiming>({ sinceMs, ...rest }: T) {
  return { ...rest, since: sinceMs };
}
