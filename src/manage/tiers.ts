// The price of a worker is that of its tier, so a tier that is asked for must be one that has a price.
import { fail, ok, type Result } from "../core/failure.ts";
import { askD1 } from "../db/ask-d1.ts";
import { listTierIds } from "../db/rates.ts";

/** A tier that a request names, and in which field. */
interface NamedTier {
  readonly field: string;
  readonly tier: string;
}

/** The failure names the tiers that there are. */
export function checkTier(env: Env, tier: string): Promise<Result<null>> {
  return checkTiers(env, [{ field: "tier", tier }]);
}

/** The same of several; D1 is not asked about none. */
export async function checkTiers(env: Env, named: readonly NamedTier[]): Promise<Result<null>> {
  if (named.length === 0) return ok(null);
  const tiers = await askD1(() => listTierIds(env.DB));
  if (!tiers.ok) return tiers;
  const unknown = named.find(({ tier }) => !tiers.value.includes(tier));
  if (unknown === undefined) return ok(null);
  const message = `there is no tier ${unknown.tier}; there are ${tiers.value.join(", ")}`;
  return fail({ kind: "invalid", field: unknown.field, message });
}
