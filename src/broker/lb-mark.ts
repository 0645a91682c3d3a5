// A row that stands while requests of a load-balanced endpoint may run. Their slots are in memory: a broker that starts and
// finds the mark must hear of them before it gives out slots. One row for many requests, since each write is billed.

export class LbMark {
  readonly #sql: SqlStorage;
  #isSet: boolean;

  constructor(storage: DurableObjectStorage) {
    this.#sql = storage.sql;
    this.#isSet = this.#sql.exec("SELECT one FROM lb_running").toArray().length > 0;
  }

  get isSet(): boolean {
    return this.#isSet;
  }

  set(): void {
    if (this.#isSet) return;
    this.#sql.exec("INSERT INTO lb_running (one) VALUES (1)");
    this.#isSet = true;
  }

  clear(): void {
    this.#sql.exec("DELETE FROM lb_running");
    this.#isSet = false;
  }
}
