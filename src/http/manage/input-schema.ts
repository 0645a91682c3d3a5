// GET /v1/endpoints/{endpoint}/input-schema: what the inputs of an endpoint's jobs are checked by, for whoever may send it jobs.
import * as z from "zod";
import { inputSchemaSchema } from "../../contract/manage/endpoint.ts";
import { ok, type Result } from "../../core/failure.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { findEndpoint, findOwnEndpoint } from "../kit/find-endpoint.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";

export const INPUT_SCHEMA_ROUTES: readonly Route[] = [
  operation({
    plane: "v1",
    tag: "Endpoints",
    method: "GET",
    path: "/v1/endpoints/:endpoint/input-schema",
    id: "getInputSchema",
    summary: "Read the input schema of an endpoint",
    description:
      "Of the caller's own endpoints and of public ones, of any endpoint for an operator. It is what this part of the deployment checks by now: a change is followed within 30 s.",
    scopes: ["jobs", "manage", "admin"],
    kind: "reads",
    params: endpointParams,
    answers: { 200: { description: "The schema", schema: z.object({ inputSchema: inputSchemaSchema }) } },
    handle: read,
  }),
];

async function read({
  env,
  caller,
  params,
  nowMs,
}: OperationCall<EndpointParams, unknown, unknown>): Promise<Result<Reply>> {
  // An operator has made endpoints of others, and finds what it has made.
  const find = caller.scopes.includes("admin") ? findOwnEndpoint : findEndpoint;
  const found = await find(params.endpoint, caller, env, nowMs);
  if (!found.ok) return found;
  const { inputSchema, settings } = found.value;
  return ok({
    status: 200,
    version: settings.version,
    body: { inputSchema: inputSchema === null ? null : JSON.parse(inputSchema) },
  });
}
