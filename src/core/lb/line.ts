// The line of requests that wait for a slot of a load-balanced endpoint: who is next, and who must go when it is full. An
// endpoint may be shared, and no tenant's flood may keep the others out.

interface InLine {
  readonly tenantId: string;
}

/** What a tenant has had: requests that have a slot, and the place of its newest start among all; 0: none. */
interface Share {
  readonly running: number;
  readonly servedAt: number;
}

/**
 * Everyone in line, whoever is to be served first in front: the next slot is for the tenant with the fewest requests that run
 * or stand before, of equal ones for the one that was served longest ago, and each tenant's own go by arrival. `line` in
 * order of arrival.
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
  // Of equals the one that came first: the sort is stable.
  return ranked.sort((a, b) => a.running - b.running || a.servedAt - b.servedAt).map(({ place }) => place);
}

/** Whose place a newcomer may take in a full line: the newest one of the tenant with the most, if it has more than the newcomer's. */
export function findYielding<Place extends InLine>(line: Iterable<Place>, tenantId: string): Place | null {
  const places = Map.groupBy(line, (place) => place.tenantId);
  let most = { tenantId, count: (places.get(tenantId)?.length ?? 0) + 1 };
  for (const [other, { length }] of places) if (length > most.count) most = { tenantId: other, count: length };
  return most.tenantId === tenantId ? null : (places.get(most.tenantId)?.at(-1) ?? null);
}
