// How many jobs each tenant may run at once in this endpoint, as the edge has told last. It stands in a row, because a
// start of the object must not start more jobs than that before the tenant calls again. Tenants without a bound have none.
import type { TenantBound } from "../../contract/broker.ts";
import type { MeteredSql } from "./metered-sql.ts";

export class TenantBounds {
  readonly #sql: MeteredSql;
  readonly #known = new Map<string, TenantBound>();

  constructor(sql: MeteredSql) {
    this.#sql = sql;
    const rows = sql.all<{ tenant_id: string; version: number; running_max: number | null }>(
      "SELECT tenant_id, version, running_max FROM tenant_bounds",
    );
    for (const { tenant_id: tenantId, version, running_max: runningMax } of rows) {
      this.#known.set(tenantId, { version, runningMax });
    }
  }

  /** Those that have a bound, or had one. */
  get known(): ReadonlyMap<string, TenantBound> {
    return this.#known;
  }

  /**
   * Takes what an edge tells. True: the bound has changed. What is older than what is known changes nothing: an edge may
   * go by a key that it has read 30 s ago, and two of them would write the row to and fro.
   */
  learn(tenantId: string, told: TenantBound): boolean {
    const known = this.#known.get(tenantId);
    if (known === undefined ? told.runningMax === null : told.version <= known.version) return false;
    const isChanged = told.runningMax !== (known?.runningMax ?? null);
    if (isChanged) {
      const { version, runningMax } = told;
      this.#sql.transaction(() =>
        this.#sql.run(
          `INSERT INTO tenant_bounds (tenant_id, version, running_max) VALUES (?, ?, ?)
           ON CONFLICT (tenant_id) DO UPDATE SET version = excluded.version, running_max = excluded.running_max`,
          tenantId,
          version,
          runningMax,
        ),
      );
    }
    this.#known.set(tenantId, told);
    return isChanged;
  }
}
