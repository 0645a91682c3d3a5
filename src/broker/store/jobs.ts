// The SQL of a broker: named, typed statements. Those about one job take its uuid and check no tenant: for calls of
// clients `own` (jobs/jobs.ts) does, calls of carriers are fenced by a lease, those of workers by its holder.
import { type EndpointSettings, endpointSettingsSchema } from "../../contract/settings.ts";
import { expiresAtMs, isTerminal, type Job, type JobStatus, type StoredBytes } from "../../core/job/job.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { LIST_ROWS_READ_MAX, PAYLOAD_INLINE_MAX_BYTES } from "../../core/limits.ts";
import {
  type JobRow,
  type Place,
  parseJob,
  parseMeasured,
  type StartColumns,
  type StartRow,
  type StoredJob,
  type SweptJob,
  toFacts,
  toPlaces,
  toStartRow,
  toStoredJob,
} from "./job-row.ts";
import type { MeteredSql } from "./metered-sql.ts";
import { RowCache } from "./row-cache.ts";

export type RememberedKey = {
  readonly uuid: string;
  readonly mode: string;
  readonly fingerprint: string;
  readonly lastStatus: string;
  readonly expiresAtMs: number;
};

/** SQLite returns the length of a payload without reading the payload. */
const MEASURED = `json_array(
  length(CAST(fields AS BLOB)) + coalesce(length(CAST(webhook AS BLOB)), 0) + coalesce(length(input), 0)
    + coalesce((SELECT length(bytes) FROM payloads WHERE uuid = jobs.uuid AND part = 'input'), 0),
  coalesce(length(output), 0)
    + coalesce((SELECT length(bytes) FROM payloads WHERE uuid = jobs.uuid AND part = 'output'), 0),
  (SELECT coalesce(sum(length(bytes)), 0) FROM chunks WHERE uuid = jobs.uuid))`;
const START_COLUMNS = `facts, webhook, CASE WHEN facts ->> '$.stored' IS NULL THEN ${MEASURED} END AS measured`;
/** Values bound to one statement: SQLite allows 100 here. */
const START_LOOKUPS = 100;

const JOB_COLUMNS = "facts, webhook, idempotency_key, fields, input_place, output_place";

export class BrokerStore {
  readonly #sql: MeteredSql;
  readonly #hot = new RowCache();

  constructor(sql: MeteredSql) {
    this.#sql = sql;
  }

  get sizeBytes(): number {
    return this.#sql.sizeBytes;
  }

  /** One decision: all or nothing, also when something in it throws. */
  transaction<T>(decide: () => T): T {
    try {
      return this.#sql.transaction(decide);
    } catch (error) {
      // The cache may contain jobs as the rows that are rolled back had them.
      this.#hot.forgetAll();
      throw error;
    }
  }

  findJob(uuid: string): StoredJob | null {
    const hot = this.#hot.get(uuid);
    if (hot !== undefined) return hot;
    const row = this.#sql.all<JobRow>(`SELECT ${JOB_COLUMNS} FROM jobs WHERE uuid = ?`, uuid)[0];
    return row === undefined ? null : toStoredJob(row);
  }

  insertJob(stored: Omit<StoredJob, "inputPlace" | "outputPlace">, input: PayloadRef): void {
    const { job } = stored;
    const place = this.#keep(job.uuid, "input", input);
    const fields = JSON.stringify(stored.fields);
    this.#sql.run(
      `INSERT INTO jobs (uuid, tenant_id, mode, status, queue_seq, expires_at, finish_seq, webhook_next_at, facts,
         webhook, idempotency_key, fields, input_place, input) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      job.uuid,
      job.tenantId,
      job.mode,
      ...this.#stateColumns(job),
      stored.webhook === null ? null : JSON.stringify(stored.webhook),
      stored.idempotencyKey,
      fields,
      JSON.stringify(place),
      inlineBytes(place, input),
    );
    this.#hot.entered({ ...stored, inputPlace: place, outputPlace: null }, fields.length);
  }

  updateJob(job: Job): void {
    this.#sql.run(
      "UPDATE jobs SET status = ?, queue_seq = ?, expires_at = ?, finish_seq = ?, webhook_next_at = ?, facts = ? WHERE uuid = ?",
      ...this.#stateColumns(job),
      job.uuid,
    );
    this.#hot.changed(job);
  }

  /** As updateJob, with the result that the transition keeps; null clears an old one. */
  updateJobAndOutput(job: Job, output: PayloadRef | null): void {
    if (output === null || !isInline(output))
      this.#sql.run("DELETE FROM payloads WHERE uuid = ? AND part = 'output'", job.uuid);
    const place = output === null ? null : this.#keep(job.uuid, "output", output);
    this.#sql.run(
      `UPDATE jobs SET status = ?, queue_seq = ?, expires_at = ?, finish_seq = ?, webhook_next_at = ?, facts = ?,
         output_place = ?, output = ? WHERE uuid = ?`,
      ...this.#stateColumns(job),
      place === null ? null : JSON.stringify(place),
      place === null || output === null ? null : inlineBytes(place, output),
      job.uuid,
    );
    this.#hot.changed(job, place);
  }

  readPayload(uuid: string, part: "input" | "output", place: Place): PayloadRef {
    if (place.kind === "r2") return place;
    const text =
      place.kind === "row"
        ? `SELECT bytes FROM payloads WHERE uuid = ? AND part = '${part}'`
        : `SELECT ${part} AS bytes FROM jobs WHERE uuid = ?`;
    const row = this.#sql.all<{ bytes: ArrayBuffer }>(text, uuid)[0];
    if (row === undefined) throw new Error("a payload row is missing");
    return { kind: "inline", bytes: new Uint8Array(row.bytes) };
  }

  /** The result of a job; null: it has none. */
  readOutput({ job, outputPlace }: Pick<StoredJob, "job" | "outputPlace">): PayloadRef | null {
    if (outputPlace === null || !isTerminal(job.status)) return null;
    return this.readPayload(job.uuid, "output", outputPlace);
  }

  /** Yields the rows that a start reads: the listed ones and all above the floor, both in order of age. */
  *startRows(floor: string, listed: readonly string[]): Generator<StartRow> {
    const uuids = [...new Set(listed)].sort();
    for (let at = 0; at < uuids.length; at += START_LOOKUPS) {
      const some = uuids.slice(at, at + START_LOOKUPS);
      const marks = some.map(() => "?").join(",");
      const rows = `SELECT ${START_COLUMNS} FROM jobs WHERE uuid IN (${marks}) ORDER BY uuid`;
      for (const row of this.#sql.all<StartColumns>(rows, ...some)) yield toStartRow(row);
    }
    const above = `SELECT ${START_COLUMNS} FROM jobs WHERE uuid > ? ORDER BY uuid`;
    for (const row of this.#sql.each<StartColumns>(above, floor)) yield toStartRow(row);
  }

  /** Measures the bytes of a job whose row does not contain them. */
  measure(uuid: string): StoredBytes {
    const row = this.#sql.one<{ measured: string }>(`SELECT ${MEASURED} AS measured FROM jobs WHERE uuid = ?`, uuid);
    return parseMeasured(row.measured);
  }

  /** Up to `limit` rows after `afterUuid` in order of age, for the sweep. */
  sweepPage(afterUuid: string, limit: number): SweptJob[] {
    // The fields are not read: a page of them may be larger than the memory of the object.
    const rows = this.#sql.all<Omit<JobRow, "fields" | "webhook">>(
      `SELECT facts, idempotency_key, input_place, output_place FROM jobs WHERE uuid > ? ORDER BY uuid LIMIT ?`,
      afterUuid,
      limit,
    );
    return rows.map((row) => ({ job: parseJob(row.facts), ...toPlaces(row), idempotencyKey: row.idempotency_key }));
  }

  deleteJob(stored: SweptJob): void {
    const { uuid } = stored.job;
    if (stored.inputPlace.kind === "row" || stored.outputPlace?.kind === "row") {
      this.#sql.run("DELETE FROM payloads WHERE uuid = ?", uuid);
    }
    this.dropStream(uuid);
    this.#hot.forget(uuid);
    this.#sql.run("DELETE FROM jobs WHERE uuid = ?", uuid);
  }

  /** Deletes the chunks of all attempts so far, when the job goes or begins a new round. */
  dropStream(uuid: string): void {
    this.#sql.run("DELETE FROM chunks WHERE uuid = ?", uuid);
    this.#sql.run("DELETE FROM drained WHERE uuid = ?", uuid);
  }

  /** Looks among the endpoint's newest rows only: for a tenant with few jobs it would else read all rows of others. */
  newestOfTenant(tenantId: string, limit: number): StoredJob[] {
    const text = `SELECT ${JOB_COLUMNS} FROM jobs WHERE uuid >= coalesce(
         (SELECT uuid FROM jobs ORDER BY uuid DESC LIMIT 1 OFFSET ${LIST_ROWS_READ_MAX}), '') AND tenant_id = ?
       ORDER BY uuid DESC LIMIT ?`;
    return this.#sql.all<JobRow>(text, tenantId, limit).map(toStoredJob);
  }

  findKey(tenantId: string, key: string, nowMs: number): RememberedKey | null {
    const text = `SELECT uuid, mode, fingerprint, last_status AS lastStatus, expires_at AS expiresAtMs FROM idempotency
      WHERE tenant_id = ? AND key = ? AND expires_at > ?`;
    return this.#sql.all<RememberedKey>(text, tenantId, key, nowMs)[0] ?? null;
  }

  rememberKey(tenantId: string, key: string, remembered: RememberedKey): void {
    this.#sql.run(
      `INSERT INTO idempotency (tenant_id, key, uuid, mode, fingerprint, last_status, expires_at)
       VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, key) DO UPDATE SET uuid = excluded.uuid, mode = excluded.mode,
         fingerprint = excluded.fingerprint, last_status = excluded.last_status, expires_at = excluded.expires_at`,
      tenantId,
      key,
      remembered.uuid,
      remembered.mode,
      remembered.fingerprint,
      remembered.lastStatus,
      remembered.expiresAtMs,
    );
  }

  /** A key outlives its job: before the job's row is deleted, its last status is stored with the key. */
  noteFinalStatus(tenantId: string, key: string, status: JobStatus): void {
    this.#sql.run("UPDATE idempotency SET last_status = ? WHERE tenant_id = ? AND key = ?", status, tenantId, key);
  }

  postedThrough(tenantId: string): number {
    const text = "SELECT through FROM posted WHERE tenant_id = ?";
    return this.#sql.all<{ through: number }>(text, tenantId)[0]?.through ?? 0;
  }

  setPosted(tenantId: string, through: number): void {
    this.#sql.run(
      "INSERT INTO posted (tenant_id, through) VALUES (?, ?) ON CONFLICT (tenant_id) DO UPDATE SET through = excluded.through",
      tenantId,
      through,
    );
  }

  /** Stores a usage line that stands in no job's row. */
  owe(finishSeq: number, tenantId: string, line: string): void {
    this.#sql.run("INSERT INTO owed (finish_seq, tenant_id, line) VALUES (?, ?, ?)", finishSeq, tenantId, line);
  }

  /** Lists the usage lines that stand in no job's row, in order of finish. */
  owedLines(): { finishSeq: number; tenantId: string }[] {
    return this.#sql.all("SELECT finish_seq AS finishSeq, tenant_id AS tenantId FROM owed ORDER BY finish_seq");
  }

  owedLine(finishSeq: number): string | null {
    return this.#sql.all<{ line: string }>("SELECT line FROM owed WHERE finish_seq = ?", finishSeq)[0]?.line ?? null;
  }

  dropOwed(finishSeq: number): void {
    this.#sql.run("DELETE FROM owed WHERE finish_seq = ?", finishSeq);
  }

  readSettings(): EndpointSettings | null {
    return this.#sql.readOne("settings", "json", endpointSettingsSchema);
  }

  writeSettings(settings: EndpointSettings): void {
    this.#sql.writeOne("settings", "json", settings);
  }

  #stateColumns(job: Job): [string, number, number | null, number | null, number | null, string] {
    const expiresAt = expiresAtMs(job);
    const expiry = Number.isFinite(expiresAt) ? expiresAt : null;
    return [job.status, job.queueSeq, expiry, job.finishSeq, job.webhook?.nextAtMs ?? null, toFacts(job)];
  }

  #keep(uuid: string, part: "input" | "output", payload: PayloadRef): Place {
    if (payload.kind === "r2") return { kind: "r2", key: payload.key, sizeBytes: payload.sizeBytes };
    if (isInline(payload)) return { kind: "inline" };
    this.#sql.run(
      "INSERT INTO payloads (uuid, part, bytes) VALUES (?, ?, ?) ON CONFLICT (uuid, part) DO UPDATE SET bytes = excluded.bytes",
      uuid,
      part,
      toBuffer(payload.bytes),
    );
    return { kind: "row" };
  }
}

function isInline(payload: PayloadRef): boolean {
  return payload.kind === "inline" && payload.bytes.byteLength <= PAYLOAD_INLINE_MAX_BYTES;
}

function inlineBytes(place: Place, payload: PayloadRef): ArrayBuffer | null {
  return place.kind === "inline" && payload.kind === "inline" ? toBuffer(payload.bytes) : null;
}

/** SQLite binds whole buffers; a view may cover a part of a larger one. */
function toBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
