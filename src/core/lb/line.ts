// The line of requests that wait for a slot of a load-balanced endpoint: which is next, and which must leave when it
// is full. An endpoint may be shared, and no tenant's flood may keep other tenants out.

interface InLine {
  readonly tenantId: string;
}

/** A tenant's requests that have a slot now, and the number of its newest start among all starts; 0: none. */
interface Share {
  readonly running: number;
  readonly servedAt: number;
}

/**
 * The requests of a line in the order in which they are served. The next slot is for the tenant with the fewest
 * requests that run or are before it in that order, among equals for the one served longest ago; a tenant's own
 * requests go by arrival. `line` must be in order of arrival.
 */
export function inFairOrder<Place extends InLine>(
  line: Iterable<Place>,
  shareOf: (tenantId: string) => Share,
): Place[] {
  const shares = new Map<string, Share>();
  const ranked = Array.from(line, (place) => {
    const { running, servedAt } = shares.get(place.tenantId) ?? shareOf(place.tenantId);
    shares.set(place.tenantId, { running: running + 1, servedAt });
    return { place, running, servedAt };
  });
  // Among equals the request that came first is first, because the sort is stable.
  return ranked.sort((a, b) => a.running - b.running || a.servedAt - b.servedAt).map(({ place }) => place);
}

/** Which request leaves a full line for a tenant's new one: the newest of the tenant with most, if not its own. */
export function findYielding<Place extends InLine>(line: Iterable<Place>, tenantId: string): Place | null {
  const places = Map.groupBy(line, (place) => place.tenantId);
  let most = { tenantId, count: (places.get(tenantId)?.length ?? 0) + 1 };
  for (const [other, { length }] of places) if (length > most.count) most = { tenantId: other, count: length };
  return most.tenantId === tenantId ? null : (places.get(most.tenantId)?.at(-1) ?? null);
}
