// The tables of a broker: append-only migrations by id. An applied one is never changed.

import type { ObjectMigration } from "../../db/object-migrations.ts";

export const BROKER_MIGRATIONS: readonly ObjectMigration[] = [
  {
    id: 1,
    // No table has an index beside its key: each index entry is one more billed row a write. Payload columns stand
    // last, so that a scan of the facts at a start of the object never touches their overflow pages.
    sql: `
      CREATE TABLE jobs (
        uuid TEXT PRIMARY KEY,
        tenant_id TEXT NOT NULL,
        mode TEXT NOT NULL CHECK (mode IN ('run', 'runsync')),
        status TEXT NOT NULL
          CHECK (status IN ('IN_QUEUE', 'IN_PROGRESS', 'COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT')),
        queue_seq INTEGER NOT NULL,
        expires_at INTEGER,
        finish_seq INTEGER,
        webhook_next_at INTEGER,
        facts TEXT NOT NULL,
        webhook TEXT,
        idempotency_key TEXT,
        fields TEXT NOT NULL,
        input_place TEXT NOT NULL,
        output_place TEXT,
        input BLOB,
        output BLOB,
        CHECK ((expires_at IS NULL) = (status IN ('IN_QUEUE', 'IN_PROGRESS')))
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE payloads (
        uuid TEXT NOT NULL,
        part TEXT NOT NULL CHECK (part IN ('input', 'output')),
        bytes BLOB NOT NULL,
        PRIMARY KEY (uuid, part)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE idempotency (
        tenant_id TEXT NOT NULL,
        key TEXT NOT NULL,
        uuid TEXT NOT NULL,
        mode TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        last_status TEXT NOT NULL,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (tenant_id, key)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE posted (
        tenant_id TEXT PRIMARY KEY,
        through INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE owed (
        finish_seq INTEGER PRIMARY KEY,
        tenant_id TEXT NOT NULL,
        line TEXT NOT NULL
      ) STRICT;
      CREATE TABLE purged (
        tenant_id TEXT PRIMARY KEY,
        through INTEGER NOT NULL,
        at INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE settings (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        json TEXT NOT NULL
      ) STRICT;
    `,
  },
  {
    id: 2,
    // A webhook of a finish that /retry wiped from the job's row before it was delivered.
    sql: `
      CREATE TABLE owed_webhooks (
        uuid TEXT NOT NULL,
        round INTEGER NOT NULL,
        facts TEXT NOT NULL,
        output BLOB,
        PRIMARY KEY (uuid, round)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: 3,
    // Streams: chunks that arrived together are one row, with the first one's number as seq; drained: RunPod's drain.
    sql: `
      CREATE TABLE chunks (
        uuid TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        count INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (uuid, attempt, seq)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE drained (
        uuid TEXT PRIMARY KEY,
        attempt INTEGER NOT NULL,
        seq INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: 4,
    // The row exists while load-balanced requests may run: their slots are in memory, and the row outlives it.
    sql: "CREATE TABLE lb_running (one INTEGER PRIMARY KEY CHECK (one = 1)) STRICT;",
  },
  {
    id: 5,
    // What a start of the object must not begin anew, each as JSON in one row: which running leases have had their
    // grace, and the pauses of upstreams.
    sql: `
      CREATE TABLE graces (one INTEGER PRIMARY KEY CHECK (one = 1), given TEXT NOT NULL) STRICT;
      CREATE TABLE troubles (one INTEGER PRIMARY KEY CHECK (one = 1), known TEXT NOT NULL) STRICT;
    `,
  },
  {
    id: 6,
    // A row for each purge replaces one row a tenant: a later purge must not move the end of jobs that it did not
    // cancel. Old purges with no job left are dropped. The checkpoint spares a start the reading of every row: see
    // kept-rows.ts. Its floor is below all rows at first, so that the first start reads them once.
    sql: `
      CREATE TABLE purges (
        tenant_id TEXT NOT NULL,
        through INTEGER NOT NULL,
        at INTEGER NOT NULL,
        jobs INTEGER NOT NULL CHECK (jobs > 0),
        PRIMARY KEY (tenant_id, through)
      ) STRICT, WITHOUT ROWID;
      INSERT INTO purges (tenant_id, through, at, jobs)
        SELECT purged.tenant_id, purged.through, purged.at, count(*)
        FROM jobs CROSS JOIN purged ON purged.tenant_id = jobs.tenant_id
        WHERE jobs.status = 'IN_QUEUE' AND jobs.queue_seq <= purged.through
        GROUP BY purged.tenant_id;
      CREATE TABLE checkpoint (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        floor TEXT NOT NULL,
        at INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        queue_seq INTEGER NOT NULL,
        finish_seq INTEGER NOT NULL,
        sweep_at INTEGER,
        times TEXT NOT NULL
      ) STRICT;
      INSERT INTO checkpoint (one, floor, at, rows, queue_seq, finish_seq, sweep_at, times)
        SELECT 1, '', 0, 0,
          max(coalesce((SELECT max(queue_seq) FROM jobs), 0), coalesce((SELECT max(through) FROM purged), 0)),
          max(coalesce((SELECT max(finish_seq) FROM jobs), 0), coalesce((SELECT max(finish_seq) FROM owed), 0),
              coalesce((SELECT max(through) FROM posted), 0)),
          NULL, '';
      DROP TABLE purged;
      CREATE TABLE listed (
        page INTEGER PRIMARY KEY,
        uuids TEXT NOT NULL
      ) STRICT;
      CREATE TABLE tallies (
        tenant_id TEXT PRIMARY KEY,
        rows INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        completed INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        retried INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: 7,
    // The upper bound of each tenant's Idempotency-Keys, and when they were last walked.
    sql: `
      CREATE TABLE key_counts (tenant_id TEXT PRIMARY KEY, keys INTEGER NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE key_walk (one INTEGER PRIMARY KEY CHECK (one = 1), ended_at INTEGER NOT NULL) STRICT;
    `,
  },
  {
    id: 8,
    // Counts keys stored before there were counts, which must not begin lower. It reads every key of the object once: a
    // million took 60 ms. Without `WHERE true` SQLite would take the ON of ON CONFLICT for that of a join.
    sql: `
      INSERT INTO key_counts (tenant_id, keys)
        SELECT tenant_id, count(*) FROM idempotency WHERE true GROUP BY tenant_id
        ON CONFLICT (tenant_id) DO UPDATE SET keys = max(keys, excluded.keys);
    `,
  },
  {
    id: 9,
    // The log of deliveries, by a number of each tenant's own: the newest, and those to be dropped, are found by the
    // key.
    sql: `
      CREATE TABLE deliveries (
        tenant_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        at INTEGER NOT NULL,
        job_id TEXT NOT NULL,
        webhook_id TEXT NOT NULL,
        try_number INTEGER NOT NULL,
        delivered INTEGER NOT NULL,
        status INTEGER,
        detail TEXT NOT NULL,
        took_ms INTEGER,
        PRIMARY KEY (tenant_id, number)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: 10,
    // How many jobs a tenant may run at once: a row for each tenant that has such a bound, or had one.
    sql: `
      CREATE TABLE tenant_bounds (
        tenant_id TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        running_max INTEGER CHECK (running_max >= 1)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: 11,
    // The submits of tokens for browsers, by their end: what is to be dropped stands first.
    sql: `
      CREATE TABLE token_calls (
        expires_at INTEGER NOT NULL,
        token_id TEXT NOT NULL,
        tenant_id TEXT NOT NULL,
        calls INTEGER NOT NULL,
        PRIMARY KEY (expires_at, token_id)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: 12,
    // What is held active now, a row each: what a start of the object must go on to meter. It goes with its last line.
    sql: `
      CREATE TABLE holds (
        holder_id TEXT PRIMARY KEY,
        id TEXT NOT NULL,
        key_id TEXT,
        tier TEXT NOT NULL,
        from_at INTEGER NOT NULL,
        metered_until INTEGER NOT NULL CHECK (metered_until >= from_at),
        slices INTEGER NOT NULL,
        seen_at INTEGER,
        CHECK ((key_id IS NULL) = (seen_at IS NULL))
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    id: 13,
    // Machines of a fleet by their own ids, each as JSON; the newest decisions of the scaler; and how many workers are to
    // be kept warm.
    sql: `
      CREATE TABLE instances (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE scaling_decisions (number INTEGER PRIMARY KEY, decision TEXT NOT NULL) STRICT;
      CREATE TABLE warm_workers (one INTEGER PRIMARY KEY CHECK (one = 1), warm TEXT NOT NULL) STRICT;
    `,
  },
  {
    id: 14,
    // How long the newest jobs waited and ran, and the newest starts of machines took (core/fleet/timings.ts).
    sql: "ALTER TABLE checkpoint ADD COLUMN timings TEXT NOT NULL DEFAULT '';",
  },
];
