// Announces prices. A price that holds is never changed: lines of the bill refer to it, and brokers know it before it begins.
import { fail, ok, type Result } from "../core/failure.ts";
import type { Rate, RateKind } from "../core/job/pricing.ts";
import { fieldChanges } from "../core/manage/changes.ts";
import { PRICE_LEAD_DEFAULT_MS, PRICE_LEAD_MIN_MS } from "../core/manage/limits.ts";
import { toTimeText } from "../core/manage/time-text.ts";
import { askD1 } from "../db/ask-d1.ts";
import { findRateAt, insertRate, isTakenTime } from "../db/rates.ts";
import { isAnyBehind } from "../db/taken-versions.ts";
import { createOnce, findMade } from "./commit.ts";
import { audited, type ManageContext } from "./context.ts";
import { checkTier } from "./tiers.ts";

export interface WantedRate {
  readonly tier: string;
  readonly kind: RateKind;
  readonly nanodollarsPerSecond: number;
  /** RFC 3339. */
  readonly effectiveFrom?: string | undefined;
}

/** A price as it was announced. `applied`: every broker has it already. */
export interface MadeRate {
  readonly rate: Rate;
  readonly applied: boolean;
}

/** Announces a price, once for each Idempotency-Key, and raises the versions of the endpoints of its tier. */
export async function createRate(
  context: ManageContext,
  { tier, kind, nanodollarsPerSecond, effectiveFrom }: WantedRate,
): Promise<Result<MadeRate>> {
  const { env, caller, nowMs } = context;
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const known = await checkTier(env, tier);
  if (!known.ok) return known;
  // Before the time is judged: an announcement that is repeated may come when it is no longer 10 min ahead.
  const earlier = await findMade(context);
  if (!earlier.ok) return earlier;
  if (earlier.value !== null) return readMade(env, earlier.value.id);
  const effectiveFromMs = effectiveFrom === undefined ? nowMs + PRICE_LEAD_DEFAULT_MS : Date.parse(effectiveFrom);
  const earliestMs = nowMs + PRICE_LEAD_MIN_MS;
  if (!(effectiveFromMs >= earliestMs)) return tooSoon(earliestMs);
  const rate = { tier, kind, effectiveFromMs, nanodollarsPerSecond };
  const id = [tier, kind, effectiveFromMs].join("/");
  const changes = fieldChanges({}, { nanodollarsPerSecond, effectiveFrom: toTimeText(effectiveFromMs) });
  const statements = [
    insertRate(rate),
    audited(context, { tenantId: caller.tenantId, action: "rate.create", objectId: id, changes }),
  ];
  const made = await createOnce(context, id, statements, (error) => refuseTaken(error, rate));
  return made.ok ? readMade(env, made.value.id) : made;
}

async function readMade(env: Env, id: string): Promise<Result<MadeRate>> {
  const [tier = "", kind, at] = id.split("/");
  const place = { tier, kind: kind === "active" ? kind : "flex", effectiveFromMs: Number(at) } as const;
  const found = await askD1(() => findRateAt(env.DB, place));
  if (!found.ok) return found;
  if (found.value === null) throw new Error(`the price ${id} is not there`);
  const behind = await askD1(() => isAnyBehind(env.DB));
  return ok({ rate: found.value, applied: behind.ok && !behind.value });
}

function tooSoon(earliestMs: number): Result<never> {
  const message = `must be at least ${PRICE_LEAD_MIN_MS / 60_000} min ahead, not before ${toTimeText(earliestMs)}`;
  return fail({ kind: "invalid", field: "effectiveFrom", message });
}

function refuseTaken(error: unknown, { tier, kind, effectiveFromMs }: Rate): Result<never> {
  if (!isTakenTime(error)) throw error;
  const message = `a price of ${tier} ${kind} begins at ${toTimeText(effectiveFromMs)} already, and none is changed`;
  return fail({ kind: "conflict", field: "effectiveFrom", message });
}
