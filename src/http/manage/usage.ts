// What the tenant is told afterwards: billed lines and webhooks that were given up.
import type { Hono } from "hono";
import { z } from "zod";
import { accountOf } from "../../broker/peers.ts";
import type { UsageLine } from "../../contract/usage.ts";
import { parseJobId } from "../../core/job/id.ts";
import { listDeadLetters } from "../../db/dead-letters.ts";
import { readUsage } from "../../db/usage.ts";
import { jsonAnswer } from "../kit/answer.ts";
import { askD1 } from "../kit/ask-d1.ts";
import type { RouteContext, Routing } from "../kit/routing.ts";
import { enter, refuse } from "../kit/routing.ts";

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

export function addUsageRoutes(app: Hono<Routing>): void {
  app.get("/v1/usage", usage);
  app.get("/v1/usage/parked", parkedUsage);
  app.get("/v1/webhooks/dead", deadWebhooks);
}

async function usage(c: RouteContext): Promise<Response> {
  const caller = await enter(c, "jobs");
  if (!caller.ok) return refuse(c, caller.failure);
  const repeated = Object.entries(c.req.queries()).find(([, values]) => values.length > 1)?.[0];
  if (repeated !== undefined) {
    return refuse(c, { kind: "invalid", field: `?${repeated}`, message: "may be given only once" });
  }
  const query = querySchema.safeParse(c.req.query());
  if (!query.success) {
    const issue = query.error.issues[0];
    const field = issue?.code === "unrecognized_keys" ? issue.keys[0] : issue?.path[0];
    return refuse(c, { kind: "invalid", field: `?${String(field)}`, message: issue?.message ?? "is wrong" });
  }
  const { job, endpoint, from, to, limit } = query.data;
  const filter = {
    jobUuid: job === undefined ? null : (parseJobId(job)?.uuid ?? null),
    endpointId: endpoint ?? null,
    fromMs: from ?? 0,
    toMs: to ?? Number.MAX_SAFE_INTEGER,
    limit: limit ?? LIMIT_MAX,
  };
  const read = await askD1(() => readUsage(c.env.DB, caller.value.tenantId, filter));
  if (!read.ok) return refuse(c, read.failure);
  const { lines, totalNanodollars } = read.value;
  const total = Number(totalNanodollars);
  if (!Number.isSafeInteger(total)) {
    const message = `the sum ${totalNanodollars} is too large for JSON: ask for a shorter time`;
    return refuse(c, { kind: "invalid", field: "?from", message });
  }
  const body = { lines: lines.map(showLine), totalNanodollars: total, totalDollars: showDollars(total) };
  return jsonAnswer(200, body, c.get("requestId"));
}

/** Lines of the tenant that are in no record, because D1 refused what they say. There should be none. */
async function parkedUsage(c: RouteContext): Promise<Response> {
  const caller = await enter(c, "jobs");
  if (!caller.ok) return refuse(c, caller.failure);
  const lines = await accountOf(c.env, caller.value.tenantId).parked();
  return jsonAnswer(200, { lines }, c.get("requestId"));
}

async function deadWebhooks(c: RouteContext): Promise<Response> {
  const caller = await enter(c, "jobs");
  if (!caller.ok) return refuse(c, caller.failure);
  const deadLetters = await askD1(() => listDeadLetters(c.env.DB, caller.value.tenantId));
  if (!deadLetters.ok) return refuse(c, deadLetters.failure);
  return jsonAnswer(200, { webhooks: deadLetters.value }, c.get("requestId"));
}

function showLine(line: UsageLine) {
  return {
    jobId: line.jobId,
    endpointId: line.endpointId,
    attempt: line.seq,
    billedMs: line.billedMs ?? undefined,
    seconds: line.seconds,
    tier: line.tier,
    rateKind: line.rateKind,
    slots: line.slots,
    nanodollarsPerSecond: line.nanodollarsPerSecond,
    amountNanodollars: line.amountNanodollars,
    amountDollars: showDollars(line.amountNanodollars),
    startedAt: line.startedAtMs,
    finishedAt: line.finishedAtMs,
    tokens: line.tokens ?? undefined,
  };
}

/** Exact: nano-dollars have nine decimals, and a float would round them. */
function showDollars(nanodollars: number): string {
  const digits = String(nanodollars).padStart(10, "0");
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`;
}
