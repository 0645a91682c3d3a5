// The price of a worker is that of its tier, so a tier that is asked for must be one that has a price.
import { fail, ok, type Result } from "../core/failure.ts";
import { textOf } from "../core/json/value.ts";
import { askD1 } from "../db/ask-d1.ts";
import { SELECT_TIERS } from "../db/rates.ts";
import { runAll } from "../db/statement.ts";

/** The failure names the tiers that there are. */
export async function checkTier(env: Env, tier: string): Promise<Result<null>> {
  const found = await askD1(() => runAll(env.DB, [SELECT_TIERS]));
  if (!found.ok) return found;
  const tiers = (found.value[0] ?? []).map((row) => textOf(row, "id"));
  if (tiers.includes(tier)) return ok(null);
  return fail({ kind: "invalid", field: "tier", message: `there is no tier ${tier}; there are ${tiers.join(", ")}` });
}
