// The tables of an account: append-only migrations by id. An applied one is never changed.

import type { ObjectMigration } from "../db/object-migrations.ts";

export const ACCOUNT_MIGRATIONS: readonly ObjectMigration[] = [
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
