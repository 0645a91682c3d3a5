// A database of this process with the project's migrations, as the command line finds D1: by the text of statements, each no longer than
// D1 takes, or by the part of D1's binding that exports are read by.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Execute } from "../../src/cli/d1.ts";
import { toSqlText } from "../../src/cli/sql-text.ts";
import type { ExportRow } from "../../src/contract/manage/export.ts";
import { readExport } from "../../src/db/export.ts";
import type { Database, SqlValue } from "../../src/db/statement.ts";

const FOLDER = join(import.meta.dirname, "../../migrations");
/** D1's bound of a statement. */
export const D1_STATEMENT_MAX_BYTES = 100_000;

export function makeMigrated(): DatabaseSync {
  const db = new DatabaseSync(":memory:");
  db.exec("CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)");
  for (const name of readdirSync(FOLDER).sort()) {
    db.exec(readFileSync(join(FOLDER, name), "utf8"));
    db.prepare("INSERT INTO d1_migrations (name) VALUES (?)").run(name);
  }
  return db;
}

/** The end of a process in the midst of its work. `statement`: which of those that write, from 0. */
export interface Cut {
  readonly statement: number;
  readonly when: "before" | "after";
}

/** Runs statements one by one, without a transaction: what stands before a cut stays. `written` counts those that write. */
export function executeText(db: DatabaseSync, cut: Cut | null = null): { execute: Execute; written: () => number } {
  let written = 0;
  const run = (sql: string): unknown[] => {
    if (Buffer.byteLength(sql) > D1_STATEMENT_MAX_BYTES) throw new Error("statement too long: SQLITE_TOOBIG");
    if (sql.startsWith("SELECT")) return db.prepare(sql).all();
    const isCut = written === cut?.statement;
    if (isCut && cut.when === "before") throw new Error("the network is away");
    db.exec(sql);
    written += 1;
    if (isCut) throw new Error("the network is away");
    return [];
  };
  return { execute: async (...statements) => statements.map((one) => run(toSqlText(one))), written: () => written };
}

/** All rows that an export has. */
export async function exportOf(db: DatabaseSync, tenantId: string | null = null): Promise<ExportRow[]> {
  const rows: ExportRow[] = [];
  for await (const page of readExport(asD1(db), tenantId)) rows.push(...page);
  return rows;
}

function asD1(db: DatabaseSync): Database {
  const prepare = (sql: string, values: readonly SqlValue[] = []): ReturnType<Database["prepare"]> => ({
    // What is bound are values of statements, which are no other.
    bind: (...bound) => prepare(sql, bound as SqlValue[]),
    first: async () => null,
    // The caller names the type of its rows, as with D1.
    all: async <Row>() => ({ results: db.prepare(sql).all(...values) as Row[] }),
  });
  return { prepare: (sql) => prepare(sql), batch: async () => [] };
}
