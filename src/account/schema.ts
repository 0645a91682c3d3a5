// The tables of an account: append-only migrations by id. A migration that has been applied anywhere is never changed.

import type { ObjectMigration } from "../db/object-migrations.ts";

export const ACCOUNT_MIGRATIONS: readonly ObjectMigration[] = [
  {
    id: 1,
    // IF NOT EXISTS: the first accounts created these two tables before migrations were numbered.
    sql: `
      CREATE TABLE IF NOT EXISTS seen (broker TEXT PRIMARY KEY, through INTEGER NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS batches (
        id INTEGER PRIMARY KEY, broker TEXT NOT NULL, through INTEGER NOT NULL, lines TEXT NOT NULL
      ) STRICT;
    `,
  },
  {
    id: 2,
    // Lines that D1 refuses for their content. Only people read them: they are money missing from the record.
    sql: `
      CREATE TABLE parked (
        id INTEGER PRIMARY KEY, broker TEXT NOT NULL, line TEXT NOT NULL, reason TEXT NOT NULL, parked_at INTEGER NOT NULL
      ) STRICT;
    `,
  },
];
