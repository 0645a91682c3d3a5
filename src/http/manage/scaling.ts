// /v1/endpoints/{endpoint}/scaling and prewarm: why an endpoint has as many workers as it has, and workers ahead of jobs.
import * as z from "zod";
import { pageShape, paginationSchema } from "../../contract/manage/page.ts";
import { type Prewarm, prewarmedSchema, prewarmSchema, shownDecisionSchema } from "../../contract/manage/scaling.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { findOwnEndpoint } from "../kit/find-endpoint.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { decodeCursor, paginationOf } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";

const querySchema = z.strictObject(pageShape);
const PATH = "/v1/endpoints/:endpoint";
const shared = { plane: "v1", tag: "Workers", params: endpointParams } as const;

export const SCALING_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    method: "GET",
    path: `${PATH}/scaling`,
    id: "listScalingDecisions",
    summary: "List why workers have come and gone",
    description: "The newest 1,000 changes of how many workers are wanted, newest first.",
    scopes: ["jobs", "manage", "admin"],
    kind: "reads",
    query: querySchema,
    answers: {
      200: {
        description: "A page of decisions",
        schema: z.object({ decisions: z.array(shownDecisionSchema), pagination: paginationSchema }),
      },
    },
    handle: list,
  }),
  operation({
    ...shared,
    method: "POST",
    path: `${PATH}/prewarm`,
    id: "prewarmEndpoint",
    summary: "Have workers ahead of jobs",
    description: "As many as the endpoint may have, for a time. A later request takes the place of an earlier one.",
    scopes: ["manage", "admin"],
    kind: "acts",
    query: z.strictObject({}),
    body: prewarmSchema,
    answers: { 200: { description: "The workers are wanted", schema: prewarmedSchema } },
    handle: prewarm,
  }),
];

async function list(call: OperationCall<EndpointParams, z.infer<typeof querySchema>, unknown>): Promise<Result<Reply>> {
  const { env, caller, params, nowMs, query } = call;
  const found = await findOwnEndpoint(params.endpoint, caller, env, nowMs);
  if (!found.ok) return found;
  const start = decodeCursor(query.cursor, z.int().min(0));
  if (!start.ok) return start;
  const { settings } = found.value;
  const { tenantId, endpointId } = settings;
  const below = start.value ?? Number.MAX_SAFE_INTEGER;
  const broker = new BrokerClient(env, endpointId, settings);
  const listed = await broker.call("listDecisions", { tenantId, below, limit: query.limit + 1 });
  if (!listed.ok) return listed;
  if (listed.value === null) return fail({ kind: "not_found", what: "endpoint" });
  const decisions = listed.value.slice(0, query.limit);
  const hasNext = listed.value.length > query.limit;
  const body = {
    decisions: decisions.map(({ atMs, ...rest }) => ({ ...rest, at: atMs })),
    pagination: paginationOf(hasNext ? (decisions.at(-1)?.number ?? null) : null),
  };
  return ok({ status: 200, body });
}

async function prewarm({
  env,
  caller,
  params,
  nowMs,
  body,
}: OperationCall<EndpointParams, unknown, Prewarm>): Promise<Result<Reply>> {
  const found = await findOwnEndpoint(params.endpoint, caller, env, nowMs);
  if (!found.ok) return found;
  const { settings } = found.value;
  const untilMs = nowMs + body.seconds * 1_000;
  const { tenantId, version: settingsVersion } = settings;
  const call = { tenantId, settingsVersion, workers: body.workers, untilMs };
  const warmed = await new BrokerClient(env, settings.endpointId, settings).call("prewarm", call);
  if (!warmed.ok) return warmed;
  return ok({ status: 200, body: { wanted: warmed.value.wanted, until: untilMs } });
}
