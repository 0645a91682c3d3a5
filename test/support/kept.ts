// What an object keeps, counted anew over all of its rows: what its memory and its next start must agree with.
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { EndpointBroker } from "../../src/broker/endpoint-broker.ts";
import { parseJob } from "../../src/broker/store/job-row.ts";
import { BrokerStore } from "../../src/broker/store/jobs.ts";
import { KeptRows } from "../../src/broker/store/kept-rows.ts";
import { NOTHING_KEPT, plus, type Tally, tallyOf } from "../../src/broker/store/kept-tally.ts";
import { MeteredSql } from "../../src/broker/store/metered-sql.ts";
import { sumOf } from "../../src/broker/store/stored-bytes.ts";

interface Kept {
  readonly rows: number;
  readonly tallies: readonly Tally[];
  /** Jobs that live, or owe a line or a webhook. */
  readonly live: readonly string[];
}

/** By what stands in the rows themselves: no sum, floor or list is asked. */
function recount(storage: DurableObjectStorage, tenants: readonly string[]): Kept {
  const { sql } = storage;
  const tallies = new Map<string, Tally>();
  const columns = `facts, length(CAST(fields AS BLOB)) + coalesce(length(CAST(webhook AS BLOB)), 0) + coalesce(length(input), 0)
    + coalesce(length(output), 0) + (SELECT coalesce(sum(length(bytes)), 0) FROM payloads WHERE uuid = jobs.uuid)
    + (SELECT coalesce(sum(length(bytes)), 0) FROM chunks WHERE uuid = jobs.uuid) AS bytes`;
  let rows = 0;
  for (const { facts, bytes } of sql.exec<{ facts: string; bytes: number }>(`SELECT ${columns} FROM jobs`)) {
    const job = parseJob(facts);
    rows += 1;
    tallies.set(job.tenantId, plus(tallies.get(job.tenantId) ?? NOTHING_KEPT, tallyOf(job, bytes)));
  }
  const live = sql.exec<{ uuid: string }>(
    `SELECT uuid FROM jobs LEFT JOIN posted ON posted.tenant_id = jobs.tenant_id
     WHERE (status = 'IN_QUEUE' AND NOT EXISTS
         (SELECT 1 FROM purges WHERE purges.tenant_id = jobs.tenant_id AND purges.through >= jobs.queue_seq))
       OR status = 'IN_PROGRESS' OR webhook_next_at IS NOT NULL OR finish_seq > coalesce(posted.through, 0)
     ORDER BY uuid`,
  );
  return {
    rows,
    tallies: tenants.map((tenantId) => tallies.get(tenantId) ?? NOTHING_KEPT),
    live: live.toArray().map(({ uuid }) => uuid),
  };
}

/** As an object would find it that started on these rows at this moment; `live`: of the live ones, those that it would read. */
function keptByStart(
  storage: DurableObjectStorage,
  tenants: readonly string[],
  live: readonly string[],
): { readonly start: Kept; readonly numbers: Numbers } {
  const sql = new MeteredSql(storage);
  const store = new BrokerStore(sql);
  const kept = new KeptRows(sql, (uuid) => sumOf(store.measure(uuid)));
  const read = new Set<string>();
  for (const { job } of store.startRows(kept.floor, kept.readListed())) {
    kept.read(job);
    read.add(job.uuid);
  }
  const tallies = tenants.map((tenantId) => kept.of(tenantId));
  const start = { rows: kept.rows, tallies, live: live.filter((uuid) => read.has(uuid)) };
  return { start, numbers: { queueSeq: kept.numbers.queueSeq, finishSeq: kept.numbers.finishSeq } };
}

interface Numbers {
  readonly queueSeq: number;
  readonly finishSeq: number;
}

/** The same three times: by the rows, by a start on them, and by the memory of the object. */
export function keptOf(
  endpointId: string,
  tenants: readonly string[],
): Promise<{
  readonly rows: Kept;
  readonly start: Kept;
  readonly memory: readonly Tally[];
  readonly numbers: { readonly inRows: Numbers; readonly byStart: Numbers };
}> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (instance, { storage }) => {
    const rows = recount(storage, tenants);
    const { gauges } = instance as EndpointBroker;
    const memory = tenants.map((tenantId) => gauges.kept(tenantId));
    const highest =
      "SELECT coalesce(max(queue_seq), 0) AS queueSeq, coalesce(max(finish_seq), 0) AS finishSeq FROM jobs";
    const inRows = storage.sql.exec<{ queueSeq: number; finishSeq: number }>(highest).one();
    const { start, numbers } = keptByStart(storage, tenants, rows.live);
    return { rows, start, memory, numbers: { inRows, byStart: numbers } };
  });
}
