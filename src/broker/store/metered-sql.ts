// The SQL of one object: every statement of its parts passes here and is counted by the rows that it read and wrote, since rows
// are the bill, and since what a start reads has a bound.
import { Meter } from "../meter.ts";

export class MeteredSql {
  readonly meter: Meter;
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;

  constructor(storage: DurableObjectStorage, meter = new Meter()) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.meter = meter;
  }

  get sizeBytes(): number {
    return this.#sql.databaseSize;
  }

  /** Runs `decide` as one transaction: all of it or nothing is written, also when something in it throws. */
  transaction<T>(decide: () => T): T {
    return this.#storage.transactionSync(decide);
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

  /** Reads the JSON text that a table of one row keeps; null: it has no row yet. The names are constants of the code. */
  readOne<T>(table: string, column: string, schema: { parse(kept: unknown): T }): T | null {
    const row = this.all<{ kept: string }>(`SELECT ${column} AS kept FROM ${table} WHERE one = 1`)[0];
    return row === undefined ? null : schema.parse(JSON.parse(row.kept));
  }

  writeOne(table: string, column: string, kept: unknown): void {
    const text = `INSERT INTO ${table} (one, ${column}) VALUES (1, ?)
      ON CONFLICT (one) DO UPDATE SET ${column} = excluded.${column}`;
    this.run(text, JSON.stringify(kept));
  }

  /** Yields row by row, for results that are too large to hold at once. Nothing may be written meanwhile. */
  *each<T extends Record<string, SqlStorageValue>>(text: string, ...values: SqlStorageValue[]): Generator<T> {
    const cursor = this.#sql.exec<T>(text, ...values);
    try {
      yield* cursor;
    } finally {
      this.#count(cursor);
    }
  }

  #count(cursor: { readonly rowsRead: number; readonly rowsWritten: number }): void {
    this.meter.rowsRead += cursor.rowsRead;
    this.meter.rowsWritten += cursor.rowsWritten;
  }
}
