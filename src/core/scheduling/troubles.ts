// The troubles of upstreams as they outlive the object that has the pool: what is known of a pause, and a pool as it was.
import { RETRY_AFTER_MAX_MS } from "../limits.ts";
import type { Entry, UpstreamPool } from "./upstream-pool.ts";

/** What is known of one upstream that is paused or unhealthy. */
export interface Trouble
  extends Readonly<Pick<Entry, "detail" | "sinceMs" | "tryAtMs" | "trialToken" | "failures" | "asked">> {
  readonly id: string;
  readonly condition: Exclude<Entry["condition"], "ok">;
}

export function troublesOf(pool: UpstreamPool): Trouble[] {
  return pool.upstreams().flatMap(({ member, condition, detail, sinceMs, tryAtMs, trialToken, failures, asked }) => {
    if (condition === "ok") return [];
    return [{ id: member.id, condition, detail, sinceMs, tryAtMs, trialToken, failures, asked }];
  });
}

/** Troubles that an earlier pool had, once the jobs that run have their slots: taking one would look like a new trial. */
export function restoreTroubles(pool: UpstreamPool, troubles: Iterable<Trouble>, nowMs: number): void {
  const byId = new Map(pool.upstreams().map((entry) => [entry.member.id, entry]));
  for (const { id, ...trouble } of troubles) {
    // No longer than any pause: another machine's clock may have been ahead.
    const tryAtMs = Math.min(trouble.tryAtMs, nowMs + RETRY_AFTER_MAX_MS);
    const entry = byId.get(id);
    if (entry !== undefined) Object.assign(entry, trouble, { tryAtMs });
  }
}
