// Migrations of a Durable Object's own tables: append-only, by id. Each is applied and noted in one transaction.

/** One step. A migration that has been applied anywhere is never changed. */
export interface ObjectMigration {
  readonly id: number;
  readonly sql: string;
}

/** Brings an object of any age to the newest tables. Throws if the object has a migration that this code does not. */
export function migrateObject(storage: DurableObjectStorage, migrations: readonly ObjectMigration[]): void {
  const { sql } = storage;
  sql.exec("CREATE TABLE IF NOT EXISTS migrations (id INTEGER PRIMARY KEY) STRICT");
  const newest = sql.exec<{ id: number | null }>("SELECT max(id) AS id FROM migrations").one().id ?? 0;
  const known = migrations.at(-1)?.id ?? 0;
  if (newest > known) throw new Error(`the object has migration ${newest}, this code knows ${known}`);
  for (const migration of migrations) {
    if (migration.id <= newest) continue;
    storage.transactionSync(() => {
      sql.exec(migration.sql);
      sql.exec("INSERT INTO migrations (id) VALUES (?)", migration.id);
    });
  }
}
