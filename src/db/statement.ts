// A statement of SQL and its values, which the database binds to each other: in this folder no value becomes part of
// the SQL. The Worker and `npm run admin -- setup` run the same statements.

export type SqlValue = string | number | null;

export interface Statement {
  /** SQL with `?`, or `?1`, `?2` and so on, in place of values. */
  readonly sql: string;
  readonly params: readonly SqlValue[];
}

/** A statement and the values of its parameters, in their order. */
export function statement(sql: string, ...params: SqlValue[]): Statement {
  return { sql, params };
}

/** The part of D1 used in files that the command line imports, too: the Worker's types of D1 do not exist there. */
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

/** Runs all statements, or none if one fails. Returns the rows of each, in the order of the statements. */
export async function runAll(db: Database, statements: readonly Statement[]): Promise<unknown[][]> {
  const answers = await db.batch(statements.map((one) => bound(db, one)));
  return answers.map(({ results }) => results);
}

/**
 * `a = ?, b = ?` for an UPDATE, and its values; undefined: the column stays. The names of columns must be constants of the
 * code.
 */
export function assignments(row: Readonly<Record<string, SqlValue | undefined>>): {
  readonly set: string;
  readonly values: readonly SqlValue[];
} {
  const given = Object.entries(row).flatMap(([column, value]) => (value === undefined ? [] : [{ column, value }]));
  return { set: given.map(({ column }) => `${column} = ?`).join(", "), values: given.map(({ value }) => value) };
}

/** Adds a row. The names of the table and its columns must be constants of the code, never a caller's text. */
export function insertInto(table: string, row: Readonly<Record<string, SqlValue>>): Statement {
  const columns = Object.keys(row);
  const places = columns.map(() => "?");
  const sql = `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${places.join(", ")})`;
  return statement(sql, ...Object.values(row));
}
