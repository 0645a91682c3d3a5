// The record of usage: lines of finished attempts and of what was held active, written once each by the tenant's account.
import type { UsageLine } from "../contract/usage.ts";
import { firstUuidAt } from "../core/job/id.ts";
import { POLICY_MAX_MS } from "../core/limits.ts";
import { HELD_PREFIX } from "../core/meter/line-id.ts";

/** A usage line as it is read from D1; the three members of the tokens are null for a line without tokens. */
type UsageRow = Omit<UsageLine, "tokens"> & {
  readonly prompt: number | null;
  readonly completion: number | null;
  readonly estimated: number | null;
};

/** Which lines of a tenant to read; null: no such filter. `fromMs` and `toMs` bound the finish, epoch ms. */
export interface UsageFilter {
  readonly jobUuid: string | null;
  readonly endpointId: string | null;
  /** The only endpoints whose lines may be read; absent or null: all. */
  readonly only?: readonly string[] | null;
  readonly fromMs: number;
  readonly toMs: number;
  /** The line that the page before ended with; absent or null: the newest lines. */
  readonly after?: Pick<UsageLine, "source" | "seq"> | null;
  readonly limit: number;
}

/** Writes lines and the broker's position in one transaction. A line that is stored already stays as it is. */
export async function writeUsage(
  db: D1Database,
  tenantId: string,
  broker: string,
  through: number,
  lines: readonly UsageLine[],
): Promise<void> {
  // One parameter for all lines, because a parameter for each value would allow only seven lines a statement. `WHERE
  // true` keeps the parser from reading ON CONFLICT as part of a join.
  const insert = db
    .prepare(
      `INSERT INTO usage_lines (tenant_id, source, seq, endpoint_id, job_id, tier, rate_kind, slots, nanodollars_per_second,
         seconds, amount_nanodollars, started_at, finished_at, billed_ms, prompt_tokens, completion_tokens,
         tokens_estimated)
       SELECT ?1, value ->> 'source', value ->> 'seq', value ->> 'endpointId', value ->> 'jobId', value ->> 'tier',
         value ->> 'rateKind', value ->> 'slots', value ->> 'nanodollarsPerSecond', value ->> 'seconds',
         value ->> 'amountNanodollars', value ->> 'startedAtMs', value ->> 'finishedAtMs', value ->> 'billedMs',
         value ->> '$.tokens.prompt', value ->> '$.tokens.completion', value ->> '$.tokens.estimated'
       FROM json_each(?2) WHERE true
       ON CONFLICT (tenant_id, source, seq) DO NOTHING`,
    )
    .bind(tenantId, JSON.stringify(lines));
  const position = db
    .prepare(
      `INSERT INTO posted (tenant_id, broker, through) VALUES (?, ?, ?)
       ON CONFLICT (tenant_id, broker) DO UPDATE SET through = max(through, excluded.through)`,
    )
    .bind(tenantId, broker, through);
  await db.batch(lines.length === 0 ? [position] : [insert, position]);
}

/** Did D1 refuse the content of the rows? Every other error is an outage, which passes. */
export function isRefusedContent(error: unknown): boolean {
  return /SQLITE_(CONSTRAINT|MISMATCH|TOOBIG)|constraint failed|D1_TYPE_ERROR/.test(String(error));
}

/**
 * Parameter 3 null: every endpoint. An endpoint may be given by its slug. Parameters 4 and 5 bound the finish, and 6 is null or a JSON
 * array of the only endpoints.
 */
const FILTERED = `(?3 IS NULL OR endpoint_id = ?3 OR endpoint_id = (SELECT id FROM endpoints WHERE slug = ?3))
  AND finished_at >= ?4 AND finished_at < ?5
  AND (?6 IS NULL OR endpoint_id IN (SELECT value FROM json_each(?6)))`;
const OF_TENANT = `FROM usage_lines WHERE tenant_id = ?1 AND ?2 IS NULL AND ${FILTERED}`;
/** By the primary key, so that a question about one job does not read every line of the tenant. */
const OF_JOB = `FROM usage_lines WHERE tenant_id = ?1 AND source = ?2 AND ${FILTERED}`;

/**
 * A page of the tenant's lines, newest job first. The first page comes with the exact sum of all matching lines, as text, for which all
 * of them are read; the pages after it with null.
 */
export async function readUsage(
  db: D1Database,
  tenantId: string,
  filter: UsageFilter,
): Promise<{ readonly lines: UsageLine[]; readonly totalNanodollars: string | null }> {
  const { jobUuid, endpointId, fromMs, toMs, after = null, only = null } = filter;
  const values = [tenantId, jobUuid, endpointId, fromMs, toMs, only === null ? null : JSON.stringify(only)] as const;
  const matching = filter.jobUuid === null ? OF_TENANT : OF_JOB;
  const start = after === null ? "" : "AND (source, seq) < (?8, ?9)";
  const select = db
    .prepare(
      `SELECT source, seq, endpoint_id AS endpointId, job_id AS jobId, tier, rate_kind AS rateKind, slots,
         nanodollars_per_second AS nanodollarsPerSecond, seconds, amount_nanodollars AS amountNanodollars,
         started_at AS startedAtMs, finished_at AS finishedAtMs, billed_ms AS billedMs,
         prompt_tokens AS prompt, completion_tokens AS completion, tokens_estimated AS estimated
       ${matching} ${start} ORDER BY source DESC, seq DESC LIMIT ?7`,
    )
    .bind(...values, filter.limit, ...(after === null ? [] : [after.source, after.seq]));
  if (after !== null) return { lines: (await select.all<UsageRow>()).results.map(toLine), totalNanodollars: null };
  const sum = db.prepare(`SELECT CAST(coalesce(sum(amount_nanodollars), 0) AS TEXT) AS total ${matching}`);
  const [lines, totals] = await db.batch([select, sum.bind(...values)]);
  // D1 types the rows of a batch as unknown; these are the columns selected above, typed by STRICT tables.
  const [total] = (totals?.results ?? []) as { total: string }[];
  if (total === undefined) throw new Error("D1 gave no sum");
  return { lines: ((lines?.results ?? []) as UsageRow[]).map(toLine), totalNanodollars: total.total };
}

/** The longest that a job may wait and run, so that a line of some time is of a job no older than that before it. */
const JOB_AGE_MAX_MS = 2 * POLICY_MAX_MS;

/**
 * How many attempts of an endpoint ended in some time, and how long they ran on average; 0 where there was none. The time of active
 * upstreams and workers is no attempt.
 */
export async function summariseUsage(
  db: D1Database,
  tenantId: string,
  endpointId: string,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): Promise<{ readonly attempts: number; readonly meanSeconds: number }> {
  // A line begins with its job's uuid, which begins with the time of its submission: so the key bounds what is read.
  const row = await db
    .prepare(
      `SELECT count(*) AS attempts, coalesce(avg(finished_at - started_at), 0) / 1000.0 AS meanSeconds FROM usage_lines
       WHERE tenant_id = ?1 AND source >= ?2 AND endpoint_id = ?3 AND finished_at >= ?4 AND finished_at < ?5
         AND substr(job_id, 1, length(?6)) <> ?6`,
    )
    .bind(tenantId, firstUuidAt(fromMs - JOB_AGE_MAX_MS), endpointId, fromMs, toMs, HELD_PREFIX)
    .first<{ attempts: number; meanSeconds: number }>();
  if (row === null) throw new Error("D1 gave no sum");
  return row;
}

function toLine({ prompt, completion, estimated, ...line }: UsageRow): UsageLine {
  const tokens = prompt === null || completion === null ? null : { prompt, completion, estimated: estimated === 1 };
  return { ...line, tokens };
}
