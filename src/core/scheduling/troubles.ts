// The troubles of upstreams, which outlive the pool's object: read from one pool, and restored into the next one.
import { RETRY_AFTER_MAX_MS } from "../limits.ts";
import type { Entry, UpstreamPool } from "./upstream-pool.ts";

/** The state of one upstream that is paused or unhealthy. */
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

/** Restores an earlier pool's troubles, after running jobs have taken their slots: else these would count as trials. */
export function restoreTroubles(pool: UpstreamPool, troubles: Iterable<Trouble>, nowMs: number): void {
  const byId = new Map(pool.upstreams().map((entry) => [entry.member.id, entry]));
  for (const { id, ...trouble } of troubles) {
    // At most the longest pause from now: the clock of the machine that stored it may have been ahead.
    const tryAtMs = Math.min(trouble.tryAtMs, nowMs + RETRY_AFTER_MAX_MS);
    const entry = byId.get(id);
    if (entry !== undefined) Object.assign(entry, trouble, { tryAtMs });
  }
}
