// A row that exists while load-balanced requests may run. Their slots are in memory only, so a broker that starts and
// finds the row must await their renewals before it gives out slots. One row for many requests: writes are billed.
import type { MeteredSql } from "../store/metered-sql.ts";

export class LbMark {
  readonly #sql: MeteredSql;
  #isSet: boolean;

  constructor(sql: MeteredSql) {
    this.#sql = sql;
    this.#isSet = this.#sql.all("SELECT one FROM lb_running").length > 0;
  }

  get isSet(): boolean {
    return this.#isSet;
  }

  set(): void {
    if (this.#isSet) return;
    this.#sql.run("INSERT INTO lb_running (one) VALUES (1)");
    this.#isSet = true;
  }

  clear(): void {
    this.#sql.run("DELETE FROM lb_running");
    this.#isSet = false;
  }
}
