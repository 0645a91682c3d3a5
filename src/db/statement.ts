// A statement of SQL and its values, which stay apart until the database binds them: in this folder no value becomes SQL text. The
// Worker and the operator's command run the same statements.

export type SqlValue = string | number | null;

export interface Statement {
  /** With `?`, or `?1`, `?2` and so on, in place of values. */
  readonly sql: string;
  readonly params: readonly SqlValue[];
}

/** A statement and the values of its parameters, in their order. */
export function statement(sql: string, ...params: SqlValue[]): Statement {
  return { sql, params };
}

/** What of D1 is asked by files that the command line imports too: there the Worker's own types of it do not exist. */
export interface Database {
  prepare(sql: string): Prepared;
  batch(statements: Prepared[]): Promise<{ readonly results: unknown[] }[]>;
}

interface Prepared {
  bind(...values: unknown[]): Prepared;
  first<Value>(column: string): Promise<Value | null>;
  first<Row>(): Promise<Row | null>;
  all<Row>(): Promise<{ readonly results: Row[] }>;
}

/** A statement with its values, ready to be run. */
export function bound(db: Database, { sql, params }: Statement): Prepared {
  return db.prepare(sql).bind(...params);
}

/** Runs all of them, or none if one fails. Answers the rows of each, in the order of the statements. */
export async function runAll(db: Database, statements: readonly Statement[]): Promise<unknown[][]> {
  const answers = await db.batch(statements.map((one) => bound(db, one)));
  return answers.map(({ results }) => results);
}

/** Adds a row. The table and the names of its columns are words of the code, never of a caller. */
export function insertInto(table: string, row: Readonly<Record<string, SqlValue>>): Statement {
  const columns = Object.keys(row);
  const places = columns.map(() => "?");
  const sql = `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${places.join(", ")})`;
  return statement(sql, ...Object.values(row));
}
