// Makes the storage of an object what an earlier release has left.
import { BROKER_MIGRATIONS } from "../../src/broker/store/schema.ts";

/** Undoes the migrations from this one on, as far as they have made tables and added columns. */
export function undoMigrations(sql: SqlStorage, firstId: number): void {
  const later = BROKER_MIGRATIONS.filter(({ id }) => id >= firstId);
  const columns = later.flatMap((migration) => [...migration.sql.matchAll(/ALTER TABLE (\w+) ADD COLUMN (\w+)/g)]);
  for (const [, table, column] of columns) sql.exec(`ALTER TABLE ${table} DROP COLUMN ${column}`);
  const tables = later.flatMap((migration) => [...migration.sql.matchAll(/CREATE TABLE (\w+)/g)]);
  for (const [, table] of tables) sql.exec(`DROP TABLE ${table}`);
  sql.exec("DELETE FROM migrations WHERE id >= ?", firstId);
}

/** Drops every table: the call that gave access to the storage has started an object, which made those of the present release. */
export function dropAllTables(sql: SqlStorage): void {
  const tables = sql.exec<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*'",
  );
  for (const { name } of tables.toArray()) sql.exec(`DROP TABLE ${name}`);
}

/** Writes a row over the one of the same key that a migration has made with its table. */
export function putRow(sql: SqlStorage, table: string, row: Readonly<Record<string, SqlStorageValue>>): void {
  const columns = Object.keys(row);
  const marks = columns.map(() => "?").join(", ");
  sql.exec(`INSERT OR REPLACE INTO ${table} (${columns.join(", ")}) VALUES (${marks})`, ...Object.values(row));
}
