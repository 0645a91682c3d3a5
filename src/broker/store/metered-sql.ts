// The SQL of one object with the platform's own meter: what its parts read and write is counted in one place, since rows are
// its bill, and since what a start reads has a bound.

export class MeteredSql {
  readonly #sql: SqlStorage;
  /** Rows since the object started. */
  rowsRead = 0;
  rowsWritten = 0;

  constructor(storage: DurableObjectStorage) {
    this.#sql = storage.sql;
  }

  get sizeBytes(): number {
    return this.#sql.databaseSize;
  }

  run(text: string, ...values: SqlStorageValue[]): void {
    this.#count(this.#sql.exec(text, ...values));
  }

  all<T extends Record<string, SqlStorageValue>>(text: string, ...values: SqlStorageValue[]): T[] {
    const cursor = this.#sql.exec<T>(text, ...values);
    const rows = cursor.toArray();
    this.#count(cursor);
    return rows;
  }

  one<T extends Record<string, SqlStorageValue>>(text: string, ...values: SqlStorageValue[]): T {
    const row = this.all<T>(text, ...values)[0];
    if (row === undefined) throw new Error("a row was expected");
    return row;
  }

  /** Row by row, for what is too much to hold at once. Nothing may be written meanwhile. */
  *each<T extends Record<string, SqlStorageValue>>(text: string, ...values: SqlStorageValue[]): Generator<T> {
    const cursor = this.#sql.exec<T>(text, ...values);
    try {
      yield* cursor;
    } finally {
      this.#count(cursor);
    }
  }

  #count(cursor: { readonly rowsRead: number; readonly rowsWritten: number }): void {
    this.rowsRead += cursor.rowsRead;
    this.rowsWritten += cursor.rowsWritten;
  }
}
