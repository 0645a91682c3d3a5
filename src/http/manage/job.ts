// GET /v1/jobs/{id}: one job of the caller in full, found by its id alone: its times, its attempts, why it waits, its
// webhook and its cost. Its output is in its status.
import * as z from "zod";
import type { JobReport } from "../../contract/job-report.ts";
import { shownJobSchema } from "../../contract/manage/job.ts";
import type { UsageLine } from "../../contract/usage.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { endpointNumberOf, parseJobId } from "../../core/job/id.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { readUsage } from "../../db/usage.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { findNumberedEndpoint } from "../kit/find-endpoint.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";
import { showDollars, showLine } from "./shown-line.ts";

/** A job has fewer lines than this, because each of its attempts has at most one. */
const LINES_MAX = 1_000;

const NO_JOB = { kind: "not_found", what: "job" } as const;

const paramsSchema = z.object({ id: z.string().meta({ description: "Id of a job" }) });

export const JOB_ROUTES: readonly Route[] = [
  operation({
    plane: "v1",
    tag: "Jobs",
    method: "GET",
    path: "/v1/jobs/:id",
    id: "getJob",
    summary: "Read a job in full",
    description:
      "Its times, its last attempts, why it waits, how far its webhook has come, and its lines of the bill. Its output is in its status.",
    scopes: ["jobs", "manage", "admin"],
    kind: "reads",
    params: paramsSchema,
    query: z.strictObject({}),
    answers: { 200: { description: "The job", schema: shownJobSchema } },
    handle: showJob,
  }),
];

/** The job, or 404 for one that is gone, another tenant's, or of a release whose ids do not contain their endpoint. */
async function showJob({
  env,
  caller,
  params: { id: jobId },
  nowMs,
}: OperationCall<z.infer<typeof paramsSchema>, unknown, unknown>): Promise<Result<Reply>> {
  const uuid = parseJobId(jobId)?.uuid;
  if (uuid === undefined) return fail(NO_JOB);
  const endpoint = await findNumberedEndpoint(endpointNumberOf(uuid), caller, env, nowMs);
  // The caller has named no endpoint, and one that is another tenant's must be answered as a job that never was.
  if (!endpoint.ok) return endpoint.failure.kind === "not_found" ? fail(NO_JOB) : endpoint;
  const { endpointId } = endpoint.value.settings;
  const { tenantId } = caller;
  const report = await new BrokerClient(env, endpointId).call("describe", { tenantId, jobId });
  if (!report.ok) return report;
  const filter = { jobUuid: uuid, endpointId, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, limit: LINES_MAX };
  const recorded = await askD1(() => readUsage(env.DB, tenantId, filter));
  if (!recorded.ok) return recorded;
  const lines = withNewest(recorded.value.lines, report.value, { endpointId, source: uuid });
  return ok({ status: 200, body: show(endpointId, report.value, lines) });
}

/** Adds the newest line from the job's row if it is still on its way to the record. Newest first, as recorded. */
function withNewest(
  recorded: readonly UsageLine[],
  { id, bill }: JobReport,
  place: { readonly endpointId: string; readonly source: string },
): readonly UsageLine[] {
  if (bill === null || recorded.some(({ seq }) => seq === bill.seq)) return recorded;
  return [{ ...place, jobId: id, billedMs: bill.seconds * 1_000, ...bill }, ...recorded];
}

function show(endpointId: string, job: JobReport, lines: readonly UsageLine[]) {
  const totalNanodollars = lines.reduce((sum, { amountNanodollars }) => sum + amountNanodollars, 0);
  const attempts = [...job.history, ...(job.running === null ? [] : [job.running])];
  return {
    id: job.id,
    endpointId,
    status: job.status,
    metadata: job.metadata ?? undefined,
    createdAt: job.createdAtMs,
    queuedAt: job.queuedAtMs,
    ttlAt: job.ttlAtMs,
    finishedAt: job.finishedAtMs ?? undefined,
    expiresAt: job.expiresAtMs ?? undefined,
    delayTime: job.delayMs ?? undefined,
    executionTime: job.executionMs ?? undefined,
    workerId: job.workerId ?? undefined,
    retries: job.retries,
    error: job.error ?? undefined,
    failure: job.failure ?? undefined,
    queue: job.queue ?? undefined,
    attempts: attempts.map(showAttempt),
    webhook: job.webhook === null ? undefined : showWebhook(job.webhook),
    lines: lines.map(showLine),
    totalNanodollars,
    totalDollars: showDollars(totalNanodollars),
  };
}

/** A running attempt has no end yet, and the attempt that completed the job has no code. */
function showAttempt({ startedAtMs, ...attempt }: JobReport["history"][number] | NonNullable<JobReport["running"]>) {
  const { number, workerId } = attempt;
  if (!("endedAtMs" in attempt)) return { number, workerId, startedAt: startedAtMs };
  const { endedAtMs, code, message, billed } = attempt;
  const failed = { code: code ?? undefined, message: message ?? undefined };
  return { number, workerId, startedAt: startedAtMs, endedAt: endedAtMs, ...failed, billed };
}

function showWebhook({ url, tries, nextAtMs, dead, detail }: NonNullable<JobReport["webhook"]>) {
  const nextTryAt = dead ? undefined : (nextAtMs ?? undefined);
  return { url, tries, nextTryAt, givenUp: dead, lastError: detail ?? undefined };
}
