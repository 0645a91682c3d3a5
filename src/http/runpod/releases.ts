// /v2/serverless/{id}/releases: the versions of what an endpoint's workers are started with.
import * as z from "zod";
import { fieldChangesSchema } from "../../contract/manage/change.ts";
import { ok, type Result } from "../../core/failure.ts";
import { RELEASES_LISTED_MAX } from "../../core/manage/limits.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { listReleases } from "../../db/releases.ts";
import { readEndpoint } from "../../manage/endpoints.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";

const answerSchema = z.object({
  endpointVersion: z.int(),
  rollout: z.object({
    inProgress: z.boolean(),
    workersOnLatest: z.int(),
    workersTotal: z.int(),
    percentOnLatest: z.int(),
  }),
  releases: z.array(
    z
      .object({
        id: z.string(),
        version: z.int(),
        source: z.literal("MANUAL"),
        buildId: z.null(),
        createdByUserId: z.null(),
        workerCount: z.int(),
        createdAt: z.iso.datetime(),
        diff: fieldChangesSchema,
      })
      .meta({ id: "Release" }),
  ),
});

export const RELEASE_ROUTES: readonly Route[] = [
  operation({
    plane: "v2",
    tag: "Serverless",
    method: "GET",
    path: "/v2/serverless/:endpoint/releases",
    id: "listEndpointReleases",
    summary: "List an endpoint's releases",
    description: `The newest ${RELEASES_LISTED_MAX}, newest first, each with what it changed; values of the environment are hidden.`,
    scopes: ["jobs", "manage"],
    kind: "reads",
    params: endpointParams,
    answers: { 200: { description: "The releases", schema: answerSchema } },
    handle: list,
  }),
];

async function list(call: OperationCall<EndpointParams, Record<string, unknown>, unknown>): Promise<Result<Reply>> {
  const endpoint = await readEndpoint(call, call.caller.tenantId, call.params.endpoint);
  if (!endpoint.ok) return endpoint;
  const found = await askD1(() => listReleases(call.env.DB, endpoint.value.id, RELEASES_LISTED_MAX));
  if (!found.ok) return found;
  const releases = found.value.map(({ id, number, createdAtMs, diff }) => ({
    id,
    version: number,
    source: "MANUAL",
    buildId: null,
    createdByUserId: null,
    workerCount: 0,
    createdAt: toTimeText(createdAtMs),
    diff,
  }));
  return ok({ status: 200, body: { endpointVersion: endpoint.value.release, rollout: NO_ROLLOUT, releases } });
}

/** No worker is started by a release yet, so none is on an older one. */
const NO_ROLLOUT = { inProgress: false, workersOnLatest: 0, workersTotal: 0, percentOnLatest: 0 };
