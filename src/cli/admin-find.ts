// Reads what exists for the operator's commands. No row contains a secret.

import { textOf } from "../core/json/value.ts";
import { SELECT_ENDPOINTS, selectIdOf } from "../db/endpoints.ts";
import { SELECT_KEYS } from "../db/keys.ts";
import { SELECT_TIERS } from "../db/rates.ts";
import { SELECT_TENANTS } from "../db/tenants.ts";
import { SELECT_UPSTREAMS } from "../db/upstreams.ts";
import type { Execute } from "./d1.ts";

/** The id and kind behind an id or a slug, null when there is no such endpoint, and the tiers that have a price. */
export async function findPlace(
  execute: Execute,
  idOrSlug: string,
): Promise<{ readonly endpointId: string | null; readonly kind: string; readonly tiers: readonly string[] }> {
  const [endpoints = [], tiers = []] = await execute(selectIdOf(idOrSlug), SELECT_TIERS);
  const endpointId = textOf(endpoints[0], "id");
  const kind = textOf(endpoints[0], "kind");
  return { endpointId: endpointId === "" ? null : endpointId, kind, tiers: tiers.map((row) => textOf(row, "id")) };
}

/** All tenants, endpoints, upstreams and keys, as rows. */
export async function listAll(execute: Execute): Promise<object> {
  const lists = [SELECT_TENANTS, SELECT_ENDPOINTS, SELECT_UPSTREAMS, SELECT_KEYS];
  const [tenants = [], endpoints = [], upstreams = [], keys = []] = await execute(...lists);
  return { tenants, endpoints, upstreams, keys };
}
