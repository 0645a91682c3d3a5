// The fleet of an endpoint, as its broker is to have it. Columns of the endpoint's row give all of it, so that it takes no statement more;
// an endpoint without an image reads nothing for it.
import * as z from "zod";
import { type FleetSettings, fleetSettingsSchema, storedProviderSchema } from "../contract/fleet.ts";
import { fleetSchema } from "../contract/manage/fleet.ts";
import { brokerFleet } from "../core/manage/fleet-settings.ts";
import { bound, type Database, statement } from "./statement.ts";

const AS_JSON = "json_group_array(json_object('id', id, 'kind', kind, 'offers', json(offers)))";
const LIVE = "providers.tenant_id = endpoints.tenant_id AND deleted_at IS NULL";
const DEFAULT_ONES = `SELECT * FROM providers WHERE ${LIVE} AND is_default = 1 ORDER BY created_at, id`;
// A cross join, because it keeps this order: else all providers of the tenant would be read to find those that are named.
const NAMED_ONES = `SELECT providers.* FROM json_each(endpoints.fleet, '$.providers') AS named
  CROSS JOIN providers ON providers.id = named.value WHERE ${LIVE} ORDER BY named.key`;

/** SQL of columns of `endpoints`, for a FleetRow. */
export const FLEET_COLUMNS = `release,
  CASE WHEN fleet ->> 'image' IS NOT NULL THEN fleet END AS fleet,
  CASE WHEN fleet ->> 'image' IS NULL OR fleet -> 'providers' = '[]' THEN NULL
    WHEN fleet ->> 'providers' IS NULL THEN (SELECT ${AS_JSON} FROM (${DEFAULT_ONES}))
    ELSE (SELECT ${AS_JSON} FROM (${NAMED_ONES})) END AS providers`;

/**
 * Endpoints that may have a fleet and whose hour of the day (0 to 23, UTC) this is, by their numbers. Where there are more than `limit`,
 * each day has the next part of them.
 */
export async function listSweptAt(
  db: Database,
  { day, hour, limit }: { readonly day: number; readonly hour: number; readonly limit: number },
): Promise<readonly string[]> {
  const theirs = "deleted_at IS NULL AND fleet ->> 'image' IS NOT NULL AND coalesce(number, 0) % 24 = ?1";
  const parts = `max(1, (SELECT (count(*) + ?2 - 1) / ?2 FROM endpoints WHERE ${theirs}))`;
  const sql = `SELECT id FROM endpoints WHERE ${theirs} ORDER BY id LIMIT ?2 OFFSET (?3 % ${parts}) * ?2`;
  const { results } = await bound(db, statement(sql, hour, limit, day)).all<{ id: string }>();
  return results.map(({ id }) => id);
}

export interface FleetRow {
  readonly release: number;
  /** JSON; null: there is no image. */
  readonly fleet: string | null;
  /** JSON of the providers that the endpoint uses. */
  readonly providers: string | null;
}

const providersSchema = z.array(storedProviderSchema.pick({ id: true, kind: true, offers: true }));

/** Null: the endpoint has no fleet. Throws where a row cannot be read. */
export function readFleet({ release, fleet, providers }: FleetRow): FleetSettings | null {
  if (fleet === null || providers === null) return null;
  const offering = providersSchema.parse(JSON.parse(providers)).map(({ id, kind, offers }) => {
    // One that only tells what would be done stops no machine either.
    return { id, offers, canStop: kind !== "none" };
  });
  const settings = brokerFleet(fleetSchema.parse(JSON.parse(fleet)), release, offering);
  return settings === null ? null : fleetSettingsSchema.parse(settings);
}
