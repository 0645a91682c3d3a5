// Makes the storage of a broker what an earlier release has left: without the tables of later migrations.
import { BROKER_MIGRATIONS } from "../../src/broker/store/schema.ts";

/** Undoes the migrations from this one on, as far as they have made tables; columns that they have added stay. */
export function undoMigrations(sql: SqlStorage, firstId: number): void {
  const later = BROKER_MIGRATIONS.filter(({ id }) => id >= firstId);
  const tables = later.flatMap((migration) => [...migration.sql.matchAll(/CREATE TABLE (\w+)/g)]);
  for (const [, table] of tables) sql.exec(`DROP TABLE ${table}`);
  sql.exec("DELETE FROM migrations WHERE id >= ?", firstId);
}
