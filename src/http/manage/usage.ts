// What the tenant can read afterwards: billed lines, and webhooks that were given up.
import * as z from "zod";
import { accountOf } from "../../broker/peers.ts";
import { billShape } from "../../contract/manage/job.ts";
import { billPageShape, pageShape, paginationSchema } from "../../contract/manage/page.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { parseJobId } from "../../core/job/id.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { listDeadLetters } from "../../db/dead-letters.ts";
import { readUsage } from "../../db/usage.ts";
import { opens } from "../../manage/context.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { decodeCursor, paginationOf } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";
import { showDollars, showLine } from "./shown-line.ts";

const TIME_MAX_MS = 999_999_999_999_999;

const time = z.coerce.number().int().min(0).max(TIME_MAX_MS).optional();
const querySchema = z.strictObject({
  job: z
    .string()
    .refine((text) => parseJobId(text) !== null, "must be a job id")
    .optional()
    .meta({ description: "Only lines of this job" }),
  endpoint: z.string().max(100).optional().meta({ description: "Only lines of the endpoint of this id or slug" }),
  from: time.meta({ description: "Only what ended at this time or later, in milliseconds since 1970" }),
  to: time.meta({ description: "Only what ended before this time" }),
  ...billPageShape,
});
type UsageQuery = z.infer<typeof querySchema>;
const lineCursorSchema = z.tuple([z.string().min(1).max(100), z.int().min(0)]);
/** A page of the bill. Its sum takes a walk over all lines, so a client that reads on need not pay for it again. */
const billPageSchema = z.object({
  lines: billShape.lines,
  totalNanodollars: billShape.totalNanodollars.optional().meta({ description: "On the first page alone" }),
  totalDollars: billShape.totalDollars.optional().meta({ description: "On the first page alone" }),
  pagination: paginationSchema,
});

const deadQuerySchema = z.strictObject(pageShape);
type DeadQuery = z.infer<typeof deadQuerySchema>;
const letterCursorSchema = z.int().min(1);

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
    description:
      "Lines of the key's tenant, newest job first: those of an active upstream or worker stand together, by the time from which it is held. The first page has the sum of all that match, also beyond those shown.",
    query: querySchema,
    answers: { 200: { description: "A page of lines, and the sum of all", schema: billPageSchema } },
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
    query: deadQuerySchema,
    answers: {
      200: {
        description: "A page of webhooks",
        schema: z.object({ webhooks: z.array(deadLetterSchema), pagination: paginationSchema }),
      },
    },
    handle: deadWebhooks,
  }),
];

type Call<Query = unknown> = OperationCall<unknown, Query, unknown>;

async function usage({ env, caller, query }: Call<UsageQuery>): Promise<Result<Reply>> {
  const { job, endpoint, from, to, limit } = query;
  const after = decodeCursor(query.cursor, lineCursorSchema);
  if (!after.ok) return after;
  const filter = {
    jobUuid: job === undefined ? null : (parseJobId(job)?.uuid ?? null),
    endpointId: endpoint ?? null,
    only: caller.endpointIds,
    fromMs: from ?? 0,
    toMs: to ?? Number.MAX_SAFE_INTEGER,
    after: after.value === null ? null : { source: after.value[0], seq: after.value[1] },
    // One more, which shows whether there is a next page.
    limit: limit + 1,
  };
  const read = await askD1(() => readUsage(env.DB, caller.tenantId, filter));
  if (!read.ok) return read;
  const lines = read.value.lines.slice(0, limit);
  const last = read.value.lines.length > limit ? lines.at(-1) : undefined;
  const total = showTotal(read.value.totalNanodollars);
  if (!total.ok) return total;
  const pagination = paginationOf(last === undefined ? null : [last.source, last.seq]);
  return ok({ status: 200, body: { lines: lines.map(showLine), ...total.value, pagination } });
}

/** Null: the page is not the first. */
function showTotal(sum: string | null): Result<object> {
  if (sum === null) return ok({});
  const total = Number(sum);
  if (Number.isSafeInteger(total)) return ok({ totalNanodollars: total, totalDollars: showDollars(total) });
  return fail({
    kind: "invalid",
    field: "?from",
    message: `the sum ${sum} is too large for JSON: ask for a shorter time`,
  });
}

async function parkedUsage({ env, caller }: Call): Promise<Result<Reply>> {
  const parked = await accountOf(env, caller.tenantId).parked();
  return ok({ status: 200, body: { lines: parked.filter(({ endpointId }) => opens(caller, endpointId)) } });
}

async function deadWebhooks({ env, caller, nowMs, query }: Call<DeadQuery>): Promise<Result<Reply>> {
  const before = decodeCursor(query.cursor, letterCursorSchema);
  if (!before.ok) return before;
  const page = { before: before.value, limit: query.limit, nowMs, only: caller.endpointIds };
  const listed = await askD1(() => listDeadLetters(env.DB, caller.tenantId, page));
  if (!listed.ok) return listed;
  const { letters, next } = listed.value;
  return ok({ status: 200, body: { webhooks: letters, pagination: paginationOf(next) } });
}
