// Finds a tenant's jobs by a filter, newest first. It walks over rows, a portion a turn, and holds only the uuids of those that
// match, because many calls may search at the same time: who shows or changes a job reads it anew.
import type { CallOf } from "../../contract/broker.ts";
import { type JobFilter, matchesFilter, rangeOf } from "../../core/job/filter.ts";
import { FILTER_ROWS_READ_MAX, JOBS_LISTED_MAX, TURN_ROWS_MAX } from "../../core/limits.ts";
import type { ListedJob } from "../store/listed-rows.ts";
import type { OverJobs } from "./jobs.ts";
import type { Portions } from "./portions.ts";

interface Parts extends OverJobs {
  readonly portions: Portions;
}

interface Found {
  readonly uuids: readonly string[];
  /** Rows that were looked at. */
  readonly scanned: number;
  /** The uuid of the last of them; null: there is no further row. */
  readonly next: string | null;
}

export class JobSearch {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Goes on until as many jobs match as are asked for, or enough rows were looked at. */
  async find(call: CallOf<"listJobs">): Promise<Found> {
    const limit = Math.min(Math.max(call.limit, 1), JOBS_LISTED_MAX);
    const uuids: string[] = [];
    let scanned = 0;
    let next = call.before;
    do {
      const before = next;
      const rowsMax = Math.min(TURN_ROWS_MAX, FILTER_ROWS_READ_MAX - scanned);
      const look = () => this.#look({ ...call, before, limit: limit - uuids.length }, rowsMax);
      const portion = await this.#parts.portions.run(call.tenantId, look);
      uuids.push(...portion.uuids);
      scanned += portion.scanned;
      next = portion.next;
    } while (next !== null && uuids.length < limit && scanned < FILTER_ROWS_READ_MAX);
    return { uuids, scanned, next };
  }

  matches({ job, metadata }: ListedJob, filter: JobFilter, nowMs: number): boolean {
    return matchesFilter(this.#parts.jobs.settle({ job }), metadata, filter, nowMs);
  }

  #look({ tenantId, filter, before, limit }: CallOf<"listJobs">, rowsMax: number): Found {
    const nowMs = Date.now();
    const uuids: string[] = [];
    let scanned = 0;
    let last = before;
    const rows = this.#parts.listedRows.newestFirst(tenantId, rangeOf(filter, before), filter.metadata !== undefined);
    for (const { uuid, own } of rows) {
      // One row more than is looked at shows that there is a next page.
      if (scanned === rowsMax || uuids.length === limit) return { uuids, scanned, next: last };
      scanned += 1;
      last = uuid;
      if (own !== null && this.matches(own, filter, nowMs)) uuids.push(uuid);
    }
    return { uuids, scanned, next: null };
  }
}
