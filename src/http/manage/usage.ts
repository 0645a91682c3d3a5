// What the tenant can read afterwards: billed lines, and webhooks that were given up.
import * as z from "zod";
import { accountOf } from "../../broker/peers.ts";
import { billShape } from "../../contract/manage/job.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { parseJobId } from "../../core/job/id.ts";
import { DEAD_LETTERS_LISTED_MAX } from "../../core/limits.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { listDeadLetters } from "../../db/dead-letters.ts";
import { readUsage } from "../../db/usage.ts";
import { opens } from "../../manage/context.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";
import { showDollars, showLine } from "./shown-line.ts";

const LIMIT_MAX = 1_000;
const TIME_MAX_MS = 999_999_999_999_999;

const time = z.coerce.number().int().min(0).max(TIME_MAX_MS).optional();
const querySchema = z.strictObject({
  job: z
    .string()
    .refine((text) => parseJobId(text) !== null, "must be a job id")
    .optional()
    .meta({ description: "Only lines of this job" }),
  endpoint: z.string().max(100).optional().meta({ description: "Only lines of the endpoint of this id or slug" }),
  from: time.meta({ description: "Only jobs that ended at this time or later, in milliseconds since 1970" }),
  to: time.meta({ description: "Only jobs that ended before this time" }),
  limit: z.coerce.number().int().min(1).max(LIMIT_MAX).default(LIMIT_MAX).meta({ description: "Lines that are shown" }),
});

const deadLetterSchema = z
  .object({
    webhookId: z.string(),
    endpointId: z.string(),
    jobId: z.string(),
    url: z.string(),
    tries: z.int(),
    detail: z.string(),
    givenUpAtMs: z.int(),
    redeliverable: z.boolean().meta({ description: "Its body is kept, so it can be sent again" }),
  })
  .meta({ id: "DeadWebhook" });

const parkedSchema = z
  .object({
    endpointId: z.string(),
    line: z.string().meta({ description: "The line as its broker sent it: JSON text" }),
    reason: z.string(),
    parkedAtMs: z.int(),
  })
  .meta({ id: "ParkedLine" });

const shared = { plane: "v1", method: "GET", scopes: ["jobs", "manage", "admin"], kind: "reads" } as const;

export const USAGE_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    tag: "Usage",
    path: "/v1/usage",
    id: "listUsage",
    summary: "Read the bill",
    description: "Lines of the key's tenant, newest job first, and the sum of all that match, also beyond those shown.",
    query: querySchema,
    answers: { 200: { description: "The lines and their sum", schema: z.object(billShape) } },
    handle: usage,
  }),
  operation({
    ...shared,
    tag: "Usage",
    path: "/v1/usage/parked",
    id: "listParkedUsage",
    summary: "List lines that could not be recorded",
    description: "The database refused their values. There should be none.",
    query: z.strictObject({}),
    answers: { 200: { description: "The lines", schema: z.object({ lines: z.array(parkedSchema) }) } },
    handle: parkedUsage,
  }),
  operation({
    ...shared,
    tag: "Webhooks",
    path: "/v1/webhooks/dead",
    id: "listDeadWebhooks",
    summary: "List webhooks that were given up",
    description: "Newest first. They are kept for 30 days.",
    query: z.strictObject({}),
    answers: { 200: { description: "The webhooks", schema: z.object({ webhooks: z.array(deadLetterSchema) }) } },
    handle: deadWebhooks,
  }),
];

type Call<Query = unknown> = OperationCall<unknown, Query, unknown>;

async function usage({ env, caller, query }: Call<z.infer<typeof querySchema>>): Promise<Result<Reply>> {
  const { job, endpoint, from, to, limit } = query;
  const filter = {
    jobUuid: job === undefined ? null : (parseJobId(job)?.uuid ?? null),
    endpointId: endpoint ?? null,
    only: caller.endpointIds,
    fromMs: from ?? 0,
    toMs: to ?? Number.MAX_SAFE_INTEGER,
    limit,
  };
  const read = await askD1(() => readUsage(env.DB, caller.tenantId, filter));
  if (!read.ok) return read;
  const { lines, totalNanodollars } = read.value;
  const total = Number(totalNanodollars);
  if (!Number.isSafeInteger(total)) {
    const message = `the sum ${totalNanodollars} is too large for JSON: ask for a shorter time`;
    return fail({ kind: "invalid", field: "?from", message });
  }
  const body = { lines: lines.map(showLine), totalNanodollars: total, totalDollars: showDollars(total) };
  return ok({ status: 200, body });
}

async function parkedUsage({ env, caller }: Call): Promise<Result<Reply>> {
  const parked = await accountOf(env, caller.tenantId).parked();
  return ok({ status: 200, body: { lines: parked.filter(({ endpointId }) => opens(caller, endpointId)) } });
}

async function deadWebhooks({ env, caller, nowMs }: Call): Promise<Result<Reply>> {
  const page = { before: null, limit: DEAD_LETTERS_LISTED_MAX, nowMs, only: caller.endpointIds };
  const listed = await askD1(() => listDeadLetters(env.DB, caller.tenantId, page));
  return listed.ok ? ok({ status: 200, body: { webhooks: listed.value.letters } }) : listed;
}
