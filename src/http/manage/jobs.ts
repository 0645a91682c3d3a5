// /v1/endpoints/{id}/jobs: a tenant's jobs of one endpoint in pages, and cancel or retry of those that match.
import * as z from "zod";
import type { JobSummary } from "../../contract/job-list.ts";
import {
  type JobChange,
  jobChangeSchema,
  jobChangesSchema,
  jobQueryShape,
  jobSummarySchema,
  type ShownJobSummary,
} from "../../contract/manage/job-list.ts";
import { pageShape, paginationSchema } from "../../contract/manage/page.ts";
import { wireOf } from "../../contract/wire-failure.ts";
import { ok, type Result } from "../../core/failure.ts";
import type { JobFilter } from "../../core/job/filter.ts";
import { givenOf } from "../../core/manage/given.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { findTenant } from "../../db/tenants.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";
import { openCursor, sealedPagination } from "../kit/sealed-cursor.ts";
import { ownerShape } from "./owner.ts";
import { findTenantJobs, findTenantJobsNow } from "./tenant-jobs.ts";

const querySchema = z.strictObject({ ...pageShape, ...jobQueryShape, ...ownerShape });
const changeQuerySchema = z.strictObject(ownerShape);

const READERS = ["jobs", "manage", "admin"] as const;
const CHANGERS = ["jobs", "admin"] as const;
const shared = { plane: "v1", tag: "Jobs", params: endpointParams } as const;
const PATH = "/v1/endpoints/:endpoint/jobs";
const STEP =
  "One call is one step: it looks at 2,000 rows at most and changes 100 jobs at most. Call again with nextCursor while there is one.";

export const JOB_LIST_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    method: "GET",
    path: PATH,
    id: "listJobs",
    summary: "List jobs",
    description:
      "Newest first, without payloads. A page with a filter looks at 2,000 rows at most: it says how many in `scanned`, and has a cursor also where nothing matched.",
    scopes: READERS,
    kind: "reads",
    query: querySchema,
    answers: {
      200: {
        description: "A page of jobs",
        schema: z.object({ jobs: z.array(jobSummarySchema), scanned: z.int(), pagination: paginationSchema }),
      },
    },
    handle: list,
  }),
  operation({
    ...shared,
    method: "POST",
    path: `${PATH}/cancel`,
    id: "cancelJobs",
    summary: "Cancel the jobs that match",
    description: `Those that wait or run. ${STEP}`,
    scopes: CHANGERS,
    kind: "acts",
    query: changeQuerySchema,
    body: jobChangeSchema,
    answers: { 200: { description: "What this step has done", schema: jobChangesSchema } },
    handle: (call) => change(call, "cancel"),
  }),
  operation({
    ...shared,
    method: "POST",
    path: `${PATH}/retry`,
    id: "retryJobs",
    summary: "Retry the jobs that match",
    description: `Those that are FAILED. ${STEP}`,
    scopes: CHANGERS,
    kind: "acts",
    query: changeQuerySchema,
    body: jobChangeSchema,
    answers: { 200: { description: "What this step has done", schema: jobChangesSchema } },
    handle: (call) => change(call, "retry"),
  }),
];

type Query = z.infer<typeof querySchema>;

async function list(call: OperationCall<EndpointParams, Query, unknown>): Promise<Result<Reply>> {
  const { cursor, limit, tenant, ...filter } = call.query;
  const place = await findTenantJobs(call, tenant);
  if (!place.ok) return place;
  const { broker, tenantId } = place.value;
  const owner = { endpointId: broker.endpointId, tenantId };
  const before = await openCursor(call.env, owner, cursor);
  if (!before.ok) return before;
  const asked = { tenantId, filter: toFilter(filter), before: before.value, limit };
  const found = await broker.call("listJobs", asked);
  if (!found.ok) return found;
  const { jobs, scanned, next } = found.value;
  const pagination = await sealedPagination(call.env, owner, next);
  return ok({ status: 200, body: { jobs: jobs.map(show), scanned, pagination } });
}

async function change(
  call: OperationCall<EndpointParams, z.infer<typeof changeQuerySchema>, JobChange>,
  action: "cancel" | "retry",
): Promise<Result<Reply>> {
  const { cursor, limit, ...filter } = call.body;
  const place = await findTenantJobsNow(call, call.query.tenant);
  if (!place.ok) return place;
  const { broker, tenantId } = place.value;
  const owner = { endpointId: broker.endpointId, tenantId };
  const before = await openCursor(call.env, owner, cursor);
  if (!before.ok) return before;
  const waitingMax = await waitingMaxOf(call, tenantId);
  if (!waitingMax.ok) return waitingMax;
  const asked = {
    tenantId,
    action,
    waitingMax: waitingMax.value,
    filter: toFilter(filter),
    before: before.value,
    limit,
  };
  const done = await broker.call("changeJobs", asked);
  if (!done.ok) return done;
  const { changed, refused, refusal, scanned, next } = done.value;
  const reason = refusal === null ? null : wireOf(refusal).message;
  const pagination = await sealedPagination(call.env, owner, next);
  return ok({ status: 200, body: { changed, refused, refusal: reason, scanned, pagination } });
}

/** The limit is that of the tenant whose jobs are meant, whoever retries them. */
async function waitingMaxOf(
  { caller, env }: Pick<OperationCall<unknown, unknown, unknown>, "caller" | "env">,
  tenantId: string,
): Promise<Result<number>> {
  if (tenantId === caller.tenantId) return ok(caller.waitingMax);
  const found = await askD1(() => findTenant(env.DB, null, tenantId));
  return found.ok ? ok(found.value?.waitingMax ?? 0) : found;
}

type Filter = Pick<Query, "from" | "to" | "status" | "errorCode" | "metadata">;

function toFilter({ from, to, ...rest }: Filter): JobFilter {
  const filter = { ...rest, fromMs: from, toMs: to };
  return givenOf(filter);
}

function show(job: JobSummary): ShownJobSummary {
  const { id, status, workerId, attempts, retries, failure, metadata, webhook } = job;
  return {
    id,
    status,
    createdAt: toTimeText(job.createdAtMs),
    queuedAt: toTimeText(job.queuedAtMs),
    finishedAt: toTimeText(job.finishedAtMs),
    expiresAt: toTimeText(job.expiresAtMs),
    delayTime: job.delayMs,
    executionTime: job.executionMs,
    workerId,
    attempts,
    retries,
    failure: failure === null ? null : { code: failure.code, message: failure.message },
    metadata,
    webhook,
  };
}
