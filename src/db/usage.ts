// The record of usage: lines of finished attempts, written once each by the tenant's account.
import type { UsageLine } from "../contract/usage.ts";

type UsageRow = {
  source: string;
  seq: number;
  endpoint_id: string;
  job_id: string;
  tier: string;
  rate_kind: "flex" | "active";
  slots: number;
  nanodollars_per_second: number;
  seconds: number;
  amount_nanodollars: number;
  started_at: number;
  finished_at: number;
};

/** Which lines of a tenant to read; null: all. Times are the finish, epoch ms. */
export interface UsageFilter {
  readonly jobUuid: string | null;
  readonly endpointId: string | null;
  readonly fromMs: number;
  readonly toMs: number;
  readonly limit: number;
}

/** Writes lines and the broker's position in one transaction. A line that is there already stays as it is. */
export async function writeUsage(
  db: D1Database,
  tenantId: string,
  broker: string,
  through: number,
  lines: readonly UsageLine[],
): Promise<void> {
  const insert = db.prepare(
    `INSERT INTO usage_lines (tenant_id, source, seq, endpoint_id, job_id, tier, rate_kind, slots, nanodollars_per_second,
       seconds, amount_nanodollars, started_at, finished_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (tenant_id, source, seq) DO NOTHING`,
  );
  const position = db
    .prepare(
      `INSERT INTO posted (tenant_id, broker, through) VALUES (?, ?, ?)
       ON CONFLICT (tenant_id, broker) DO UPDATE SET through = max(through, excluded.through)`,
    )
    .bind(tenantId, broker, through);
  await db.batch([...lines.map((line) => insert.bind(tenantId, ...columns(line))), position]);
}

/** The tenant's lines, newest job first. */
export async function readUsage(db: D1Database, tenantId: string, filter: UsageFilter): Promise<UsageLine[]> {
  const { results } = await db
    .prepare(
      `SELECT source, seq, endpoint_id, job_id, tier, rate_kind, slots, nanodollars_per_second, seconds,
         amount_nanodollars, started_at, finished_at FROM usage_lines
       WHERE tenant_id = ?1 AND (?2 IS NULL OR source = ?2) AND (?3 IS NULL OR endpoint_id = ?3)
         AND finished_at >= ?4 AND finished_at < ?5 ORDER BY source DESC, seq DESC LIMIT ?6`,
    )
    .bind(tenantId, filter.jobUuid, filter.endpointId, filter.fromMs, filter.toMs, filter.limit)
    .all<UsageRow>();
  return results.map(toLine);
}

function columns(line: UsageLine): (string | number)[] {
  return [
    line.source,
    line.seq,
    line.endpointId,
    line.jobId,
    line.tier,
    line.rateKind,
    line.slots,
    line.nanodollarsPerSecond,
    line.seconds,
    line.amountNanodollars,
    line.startedAtMs,
    line.finishedAtMs,
  ];
}

function toLine(row: UsageRow): UsageLine {
  return {
    source: row.source,
    seq: row.seq,
    endpointId: row.endpoint_id,
    jobId: row.job_id,
    tier: row.tier,
    rateKind: row.rate_kind,
    slots: row.slots,
    nanodollarsPerSecond: row.nanodollars_per_second,
    seconds: row.seconds,
    amountNanodollars: row.amount_nanodollars,
    startedAtMs: row.started_at,
    finishedAtMs: row.finished_at,
  };
}
