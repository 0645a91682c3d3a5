// Prices of GPU tiers. Rows are added, never changed, so that a broker gets past, present and announced prices.
import type { Rate } from "../core/job/pricing.ts";
import { BEFORE_NEWEST, type Page } from "./page.ts";
import { bound, type Database, insertInto, runAll, type Statement, statement } from "./statement.ts";

/** SQL condition: the worker key is neither revoked nor expired, so that it still opens its endpoint. */
export const LIVE_WORKER_KEY = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > unixepoch() * 1000)";

/** All prices of the tiers of endpoints' enabled upstreams and live worker keys. `ids`: SQL that gives their ids. */
export function selectRates(ids: string): string {
  return `SELECT tier, kind, effective_from AS effectiveFromMs, nanodollars_per_second AS nanodollarsPerSecond FROM gpu_rates
    WHERE tier IN (
      SELECT tier FROM upstreams WHERE endpoint_id IN ${ids} AND enabled = 1
      UNION SELECT tier FROM api_keys WHERE endpoint_id IN ${ids} AND ${LIVE_WORKER_KEY}
    )
    ORDER BY tier, kind, effective_from`;
}

/** All prices of these tiers: past, present and announced. */
export async function listRatesOf(db: Database, tiers: readonly string[]): Promise<Rate[]> {
  const sql = `SELECT ${RATE}, effective_from AS effectiveFromMs FROM gpu_rates
    WHERE tier IN (SELECT value FROM json_each(?)) ORDER BY tier, kind, effective_from`;
  return (await bound(db, statement(sql, JSON.stringify(tiers))).all<Rate>()).results;
}

const TIERS_IN_ORDER = "FROM gpu_tiers ORDER BY vram_gb, id";

/** The ids of all tiers, smallest first. */
export async function listTierIds(db: Database): Promise<string[]> {
  const { results } = await bound(db, statement(`SELECT id ${TIERS_IN_ORDER}`)).all<{ id: string }>();
  return results.map(({ id }) => id);
}

/** Nano-dollars per second of each tier at a time, by the tier's id, for work that is not always on. */
export async function findFlexRates(db: Database, atMs: number): Promise<ReadonlyMap<string, number>> {
  // SQLite takes the other columns of an aggregate by max() from the row that has it.
  const sql = `SELECT tier, nanodollars_per_second AS rate, max(effective_from) FROM gpu_rates
    WHERE kind = 'flex' AND effective_from <= ? GROUP BY tier`;
  const { results } = await bound(db, statement(sql, atMs)).all<{ tier: string; rate: number }>();
  return new Map(results.map(({ tier, rate }) => [tier, rate]));
}

/** A tier with its present and announced prices. */
export interface PricedTier {
  readonly id: string;
  readonly title: string;
  readonly vramGb: number;
  /** Of each kind the one that holds, and those that begin later, the next one first. */
  readonly rates: readonly Rate[];
}

const RATE = "tier, kind, nanodollars_per_second AS nanodollarsPerSecond";

/** All tiers, smallest first. */
export async function listTiers(db: Database, atMs: number): Promise<PricedTier[]> {
  const [tiers = [], rates = []] = await runAll(db, [
    statement(`SELECT id, title, vram_gb AS vramGb ${TIERS_IN_ORDER}`),
    statement(
      `SELECT ${RATE}, max(effective_from) AS effectiveFromMs FROM gpu_rates WHERE effective_from <= ?1 GROUP BY tier, kind
       UNION ALL SELECT ${RATE}, effective_from FROM gpu_rates WHERE effective_from > ?1 ORDER BY effectiveFromMs`,
      atMs,
    ),
  ]);
  // The types of a batch's rows are unknown; these are the columns selected above, typed by STRICT tables.
  const of = (id: string) => (rates as Rate[]).filter(({ tier }) => tier === id);
  return (tiers as Omit<PricedTier, "rates">[]).map((tier) => ({ ...tier, rates: of(tier.id) }));
}

/** A price as a row of a list: `createdAtMs` is when it begins, and `id` its tier and kind. */
export interface ListedRate extends Rate {
  readonly createdAtMs: number;
  readonly id: string;
}

/** A page of all prices, the one that begins last first. */
export async function listRates(db: Database, { after, limit }: Page): Promise<ListedRate[]> {
  const { createdAtMs, id } = after ?? BEFORE_NEWEST;
  const sql = `SELECT ${RATE}, effective_from AS effectiveFromMs, effective_from AS createdAtMs, tier || '/' || kind AS id
    FROM gpu_rates WHERE (effective_from, tier || '/' || kind) < (?, ?) ORDER BY effective_from DESC, id DESC LIMIT ?`;
  const { results } = await bound(db, statement(sql, createdAtMs, id, limit)).all<ListedRate>();
  return results;
}

/** The price that begins at this very time; null: there is none. */
export async function findRateAt(
  db: Database,
  { tier, kind, effectiveFromMs }: Omit<Rate, "nanodollarsPerSecond">,
): Promise<Rate | null> {
  const sql = `SELECT ${RATE}, effective_from AS effectiveFromMs FROM gpu_rates WHERE tier = ? AND kind = ? AND effective_from = ?`;
  return bound(db, statement(sql, tier, kind, effectiveFromMs)).first<Rate>();
}

/** Adds a price. The database raises the version of each endpoint of its tier, and refuses a second price for one time. */
export function insertRate({ tier, kind, effectiveFromMs, nanodollarsPerSecond }: Rate): Statement {
  return insertInto("gpu_rates", {
    tier,
    kind,
    effective_from: effectiveFromMs,
    nanodollars_per_second: nanodollarsPerSecond,
  });
}

/** Did a batch end because a price begins at that very time already? */
export function isTakenTime(error: unknown): boolean {
  return String(error).includes("gpu_rates.");
}
