// What a batch of statements expects of the database. D1 has no transaction that reads and then decides, so the expectation is a statement
// of the batch itself: where it is not met, it violates a constraint, and the database undoes the whole batch.
import { type Statement, statement } from "./statement.ts";

/** Ends the batch unless a row of the table has this id and version. The table's name is a constant of the code. */
export function expectVersion(
  table: "endpoints" | "templates" | "tenants" | "api_keys" | "upstreams",
  id: string,
  version: number,
): Statement {
  const sql = `INSERT INTO unmet_expectations SELECT 'version'
    WHERE NOT EXISTS (SELECT 1 FROM ${table} WHERE id = ? AND version = ?)`;
  return statement(sql, id, version);
}

/** Did a batch end because an expectation was not met? */
export function isUnmet(error: unknown): boolean {
  return String(error).includes("unmet_expectation");
}
