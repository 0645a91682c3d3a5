// The price of a worker is that of its tier, so a tier that is asked for must be one that has a price.
import { fail, ok, type Result } from "../core/failure.ts";
import { askD1 } from "../db/ask-d1.ts";
import { listTierIds } from "../db/rates.ts";

/** The failure names the tiers that there are. */
export async function checkTier(env: Env, tier: string): Promise<Result<null>> {
  const tiers = await askD1(() => listTierIds(env.DB));
  if (!tiers.ok) return tiers;
  if (tiers.value.includes(tier)) return ok(null);
  const message = `there is no tier ${tier}; there are ${tiers.value.join(", ")}`;
  return fail({ kind: "invalid", field: "tier", message });
}
