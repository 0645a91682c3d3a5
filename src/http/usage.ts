// What the tenant is told afterwards: billed lines and webhooks that were given up.
import type { Hono } from "hono";
import { z } from "zod";
import type { UsageLine } from "../contract/usage.ts";
import { parseJobId } from "../core/job-id.ts";
import { listDeadLetters } from "../db/dead-letters.ts";
import { readUsage } from "../db/usage.ts";
import { jsonAnswer } from "./answer.ts";
import type { RouteContext, Routing } from "./routing.ts";
import { enter, refuse } from "./routing.ts";

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
  app.get("/v1/webhooks/dead", deadWebhooks);
}

async function usage(c: RouteContext): Promise<Response> {
  const caller = await enter(c, "jobs");
  if (!caller.ok) return refuse(c, caller.failure);
  const query = querySchema.safeParse(c.req.query());
  if (!query.success) {
    const issue = query.error.issues[0];
    const field = issue?.code === "unrecognized_keys" ? issue.keys[0] : issue?.path[0];
    return refuse(c, { kind: "invalid", field: `?${String(field)}`, message: issue?.message ?? "is wrong" });
  }
  const { job, endpoint, from, to, limit } = query.data;
  const lines = await readUsage(c.env.DB, caller.value.tenantId, {
    jobUuid: job === undefined ? null : (parseJobId(job)?.uuid ?? null),
    endpointId: endpoint ?? null,
    fromMs: from ?? 0,
    toMs: to ?? Number.MAX_SAFE_INTEGER,
    limit: limit ?? LIMIT_MAX,
  });
  const totalNanodollars = lines.reduce((sum, line) => sum + line.amountNanodollars, 0);
  return jsonAnswer(200, { lines: lines.map(showLine), totalNanodollars }, c.get("requestId"));
}

async function deadWebhooks(c: RouteContext): Promise<Response> {
  const caller = await enter(c, "jobs");
  if (!caller.ok) return refuse(c, caller.failure);
  const letters = await listDeadLetters(c.env.DB, caller.value.tenantId);
  return jsonAnswer(200, { webhooks: letters }, c.get("requestId"));
}

function showLine(line: UsageLine) {
  return {
    jobId: line.jobId,
    endpointId: line.endpointId,
    attempt: line.seq,
    seconds: line.seconds,
    tier: line.tier,
    rateKind: line.rateKind,
    slots: line.slots,
    nanodollarsPerSecond: line.nanodollarsPerSecond,
    amountNanodollars: line.amountNanodollars,
    amountDollars: showDollars(line.amountNanodollars),
    startedAt: line.startedAtMs,
    finishedAt: line.finishedAtMs,
  };
}

/** Exact: nano-dollars have nine decimals, and a float would round them. */
function showDollars(nanodollars: number): string {
  const digits = String(nanodollars).padStart(10, "0");
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`;
}
