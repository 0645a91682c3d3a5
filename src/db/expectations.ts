// What a batch of statements expects of the database. D1 has no transaction that reads and then decides, so the expectation is a statement
// of the batch itself: where it is not met, it violates a constraint, and the database undoes the whole batch.
import { type SqlValue, type Statement, statement } from "./statement.ts";

/** Ends the batch unless a condition of SQL holds. It and `name`, a word for the log, are constants of the code. */
export function expectThat(name: string, condition: string, ...params: SqlValue[]): Statement {
  return statement(`INSERT INTO unmet_expectations SELECT '${name}' WHERE NOT (${condition})`, ...params);
}

/** Ends the batch unless a row of the table has this id and version. The table's name is a constant of the code. */
export function expectVersion(
  table: "endpoints" | "templates" | "tenants" | "api_keys" | "upstreams" | "providers",
  id: string,
  version: number,
): Statement {
  return expectThat("version", `EXISTS (SELECT 1 FROM ${table} WHERE id = ? AND version = ?)`, id, version);
}

/** Did a batch end because an expectation was not met? */
export function isUnmet(error: unknown): boolean {
  return String(error).includes("unmet_expectation");
}

/**
 * Did a batch end because a row that it refers to is not there? The key of a worker takes its tenant from the row of its
 * endpoint.
 */
export function isWithoutOwner(error: unknown): boolean {
  return /FOREIGN KEY|api_keys\.tenant_id/.test(String(error));
}
