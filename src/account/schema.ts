// The tables of an account: append-only migrations by id. An applied one is never changed.

interface Migration {
  readonly id: number;
  readonly sql: string;
}

const MIGRATIONS: readonly Migration[] = [
  {
    id: 1,
    // IF NOT EXISTS: the first accounts made these two tables before they counted migrations.
    sql: `
      CREATE TABLE IF NOT EXISTS seen (broker TEXT PRIMARY KEY, through INTEGER NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS batches (
        id INTEGER PRIMARY KEY, broker TEXT NOT NULL, through INTEGER NOT NULL, lines TEXT NOT NULL
      ) STRICT;
    `,
  },
  {
    id: 2,
    // Lines that D1 refuses for what they say. Nothing reads them but people: they are money that is not in the record.
    sql: `
      CREATE TABLE parked (
        id INTEGER PRIMARY KEY, broker TEXT NOT NULL, line TEXT NOT NULL, reason TEXT NOT NULL, parked_at INTEGER NOT NULL
      ) STRICT;
    `,
  },
];

/** Brings an object of any age to the newest tables. A history that is longer than the code is refused. */
export function migrate(storage: DurableObjectStorage): void {
  const { sql } = storage;
  sql.exec("CREATE TABLE IF NOT EXISTS migrations (id INTEGER PRIMARY KEY) STRICT");
  const newest = sql.exec<{ id: number | null }>("SELECT max(id) AS id FROM migrations").one().id ?? 0;
  const known = MIGRATIONS.at(-1)?.id ?? 0;
  if (newest > known) throw new Error(`the object has migration ${newest}, this code knows ${known}`);
  for (const migration of MIGRATIONS) {
    if (migration.id <= newest) continue;
    storage.transactionSync(() => {
      sql.exec(migration.sql);
      sql.exec("INSERT INTO migrations (id) VALUES (?)", migration.id);
    });
  }
}
