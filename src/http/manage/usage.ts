// What the tenant can read afterwards: billed lines, and webhooks that were given up.
import * as z from "zod";
import { accountOf } from "../../broker/peers.ts";
import type { Caller } from "../../contract/identity.ts";
import { fail } from "../../core/failure.ts";
import { parseJobId } from "../../core/job/id.ts";
import { DEAD_LETTERS_LISTED_MAX } from "../../core/limits.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { listDeadLetters } from "../../db/dead-letters.ts";
import { readUsage } from "../../db/usage.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import { readQuery } from "../kit/read-json.ts";
import type { Answered } from "../kit/route.ts";
import { showDollars, showLine } from "./shown-line.ts";

const LIMIT_MAX = 1_000;

const timeSchema = z
  .string()
  .regex(/^\d{1,15}$/, "must be milliseconds since 1970")
  .transform(Number);
const querySchema = z.strictObject({
  job: z
    .string()
    .refine((text) => parseJobId(text) !== null, "must be a job id")
    .optional(),
  endpoint: z.string().max(100).optional(),
  from: timeSchema.optional(),
  to: timeSchema.optional(),
  limit: z
    .string()
    .regex(/^\d{1,4}$/, `must be a whole number from 1 to ${LIMIT_MAX}`)
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= LIMIT_MAX, `must be a whole number from 1 to ${LIMIT_MAX}`)
    .optional(),
});

/** Billed lines of the caller, newest first, and their sum. */
export async function usage(c: RouteContext, { tenantId, endpointIds }: Caller): Promise<Answered> {
  const query = readQuery(c.req.url, querySchema);
  if (!query.ok) return query;
  const { job, endpoint, from, to, limit } = query.value;
  const filter = {
    jobUuid: job === undefined ? null : (parseJobId(job)?.uuid ?? null),
    endpointId: endpoint ?? null,
    only: endpointIds,
    fromMs: from ?? 0,
    toMs: to ?? Number.MAX_SAFE_INTEGER,
    limit: limit ?? LIMIT_MAX,
  };
  const read = await askD1(() => readUsage(c.env.DB, tenantId, filter));
  if (!read.ok) return read;
  const { lines, totalNanodollars } = read.value;
  const total = Number(totalNanodollars);
  if (!Number.isSafeInteger(total)) {
    const message = `the sum ${totalNanodollars} is too large for JSON: ask for a shorter time`;
    return fail({ kind: "invalid", field: "?from", message });
  }
  const body = { lines: lines.map(showLine), totalNanodollars: total, totalDollars: showDollars(total) };
  return jsonAnswer(200, body, c.get("requestId"));
}

/** Lines of the tenant that are in no record, because D1 refused their values. There should be none. */
export async function parkedUsage(c: RouteContext, { tenantId, endpointIds }: Caller): Promise<Answered> {
  const parked = await accountOf(c.env, tenantId).parked();
  const lines = parked.filter(({ endpointId }) => endpointIds === null || endpointIds.includes(endpointId));
  return jsonAnswer(200, { lines }, c.get("requestId"));
}

/** Webhooks of the caller that were given up; they are kept for 30 days. */
export async function deadWebhooks(c: RouteContext, { tenantId, endpointIds }: Caller): Promise<Answered> {
  const page = { before: null, limit: DEAD_LETTERS_LISTED_MAX, nowMs: Date.now(), only: endpointIds };
  const listed = await askD1(() => listDeadLetters(c.env.DB, tenantId, page));
  return listed.ok ? jsonAnswer(200, { webhooks: listed.value.letters }, c.get("requestId")) : listed;
}
