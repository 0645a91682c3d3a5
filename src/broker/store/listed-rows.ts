// The rows of jobs as lists read them. Payloads are never read, and of the fields of a request only the tags, because a page
// of whole fields may be larger than the memory of the object.

import type { UuidRange } from "../../core/job/filter.ts";
import type { Job } from "../../core/job/job.ts";
import { METADATA_MAX_BYTES, type Metadata, readMetadata } from "../../core/job/metadata.ts";
import { parseJob } from "./job-row.ts";
import type { MeteredSql } from "./metered-sql.ts";

/** A job as its row has it, without purges applied. */
export interface ListedJob {
  readonly job: Job;
  readonly metadata: Metadata | null;
  /** Characters that were read of the row. */
  readonly chars: number;
}

/** `own` null: the row is another tenant's. */
export interface LookedAt {
  readonly uuid: string;
  readonly own: ListedJob | null;
}

type Columns = { uuid: string; facts: string | null; metadata: string | null };

/** A longer text cannot be tags, and in a row of an earlier release it may be as long as all fields together. */
const METADATA = `substr(fields ->> '$.metadata', 1, ${METADATA_MAX_BYTES + 1})`;

export class ListedRows {
  readonly #sql: MeteredSql;

  constructor(sql: MeteredSql) {
    this.#sql = sql;
  }

  /** Yields rows newest first, each read only when it is asked for. `tags` false: the tags are not read. */
  *newestFirst(tenantId: string, { from, below }: UuidRange, tags: boolean): Generator<LookedAt> {
    const metadata = tags ? METADATA : "NULL";
    const text = `SELECT uuid, CASE WHEN tenant_id = ?1 THEN facts END AS facts,
        CASE WHEN tenant_id = ?1 THEN ${metadata} END AS metadata
      FROM jobs WHERE uuid >= ?2 AND uuid < ?3 ORDER BY uuid DESC`;
    for (const row of this.#sql.each<Columns>(text, tenantId, from, below)) {
      yield { uuid: row.uuid, own: row.facts === null ? null : toListedJob(row.facts, row.metadata) };
    }
  }

  /** Reads one row of the tenant; null: it is gone. A lookup of many by IN would read, and cost, two rows a job. */
  read(tenantId: string, uuid: string): ListedJob | null {
    const text = `SELECT facts, ${METADATA} AS metadata FROM jobs WHERE uuid = ? AND tenant_id = ?`;
    const row = this.#sql.all<{ facts: string; metadata: string | null }>(text, uuid, tenantId)[0];
    return row === undefined ? null : toListedJob(row.facts, row.metadata);
  }
}

function toListedJob(facts: string, metadata: string | null): ListedJob {
  return { job: parseJob(facts), metadata: readMetadata(metadata), chars: facts.length + (metadata?.length ?? 0) };
}
