// Stores upstreams in trouble, so that a start of the object does not send jobs for all slots to an upstream that asked
// for a pause of ten minutes or is tried with one job at a time. One row holds all of them, written when a long pause
// or a trial begins or ends: a shorter pause ends before the memory that it began in is evicted.
import * as z from "zod";
import { TROUBLE_KEPT_FROM_MS } from "../../core/limits.ts";
import { restoreTroubles, type Trouble, troublesOf } from "../../core/scheduling/troubles.ts";
import type { UpstreamPool } from "../../core/scheduling/upstream-pool.ts";
import type { MeteredSql } from "./metered-sql.ts";

const troublesSchema = z.array(
  z.object({
    id: z.string(),
    condition: z.enum(["paused", "unhealthy"]),
    detail: z.string(),
    sinceMs: z.int(),
    tryAtMs: z.int(),
    trialToken: z.string().nullable(),
    failures: z.int(),
    asked: z.boolean(),
  }),
);

export class TroubleRow {
  readonly #sql: MeteredSql;
  #kept: ReadonlyMap<string, Trouble>;

  constructor(sql: MeteredSql) {
    this.#sql = sql;
    const known = this.#sql.readOne("troubles", "known", troublesSchema) ?? [];
    this.#kept = new Map(known.map((trouble) => [trouble.id, trouble]));
  }

  /** Called once the running jobs have taken their slots. */
  restore(pool: UpstreamPool, nowMs: number): void {
    restoreTroubles(pool, this.#kept.values(), nowMs);
  }

  /** Called after anything that may have changed the pool. */
  keep(pool: UpstreamPool, nowMs: number): void {
    const kept = new Map<string, Trouble>();
    for (const trouble of troublesOf(pool)) {
      const before = this.#kept.get(trouble.id);
      if (before?.tryAtMs === trouble.tryAtMs) kept.set(trouble.id, before);
      else if (trouble.tryAtMs >= nowMs + TROUBLE_KEPT_FROM_MS) kept.set(trouble.id, trouble);
    }
    const isSame = kept.size === this.#kept.size && [...kept].every(([id, trouble]) => this.#kept.get(id) === trouble);
    if (isSame) return;
    this.#kept = kept;
    if (kept.size === 0) this.#sql.run("DELETE FROM troubles");
    else this.#sql.writeOne("troubles", "known", [...kept.values()]);
  }
}
