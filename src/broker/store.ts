// The SQL of a broker: named, typed statements.
// Every call about one job takes the tenant; only calls fenced by a lease, and the object's own timer, go without.
import { type EndpointSettings, endpointSettingsSchema } from "../contract/settings.ts";
import { expiresAtMs, type Job, type JobStatus } from "../core/job.ts";
import { LIST_ROWS_READ_MAX, PAYLOAD_INLINE_MAX_BYTES } from "../core/limits.ts";
import type { PayloadRef } from "../core/payload-ref.ts";
import { HotJobs } from "./hot-jobs.ts";
import {
  type FinishedRow,
  type JobRow,
  type LiveRow,
  type Place,
  parseJob,
  type StoredJob,
  type SweptJob,
  toPlaces,
  toStoredJob,
  webhookSchema,
} from "./job-row.ts";

export interface RememberedKey {
  readonly uuid: string;
  readonly mode: string;
  readonly fingerprint: string;
  readonly lastStatus: string;
  readonly expiresAtMs: number;
}

const JOB_COLUMNS = "facts, webhook, idempotency_key, fields, input_place, output_place";

export class BrokerStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #hot = new HotJobs();
  /** Rows written since the object started, by the platform's own meter. */
  rowsWritten = 0;
  rowsRead = 0;
  /** Rows of jobs; a bound for admission, so that a rolled back insert that it counts does not matter. */
  jobRows: number;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.jobRows = this.#one<{ jobs: number }>("SELECT count(*) AS jobs FROM jobs").jobs;
  }

  get sizeBytes(): number {
    return this.#sql.databaseSize;
  }

  /** One decision: all or nothing, also when something in it throws. */
  transaction<T>(decide: () => T): T {
    try {
      return this.#storage.transactionSync(decide);
    } catch (error) {
      // What was noted of rows that are rolled back is not true.
      this.#hot.forgetAll();
      throw error;
    }
  }

  findJob(uuid: string): StoredJob | null {
    const hot = this.#hot.get(uuid);
    if (hot !== undefined) return hot;
    const row = this.#all<JobRow>(`SELECT ${JOB_COLUMNS} FROM jobs WHERE uuid = ?`, uuid)[0];
    return row === undefined ? null : toStoredJob(row);
  }

  insertJob(stored: Omit<StoredJob, "inputPlace" | "outputPlace">, input: PayloadRef): void {
    const { job } = stored;
    const place = this.#keep(job.uuid, "input", input);
    const fields = JSON.stringify(stored.fields);
    this.#run(
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
    this.jobRows += 1;
    this.#hot.entered({ ...stored, inputPlace: place, outputPlace: null }, fields.length);
  }

  updateJob(job: Job): void {
    this.#run(
      "UPDATE jobs SET status = ?, queue_seq = ?, expires_at = ?, finish_seq = ?, webhook_next_at = ?, facts = ? WHERE uuid = ?",
      ...this.#stateColumns(job),
      job.uuid,
    );
    this.#hot.changed(job);
  }

  /** As updateJob, with the result that the transition keeps; null clears an old one. */
  updateJobAndOutput(job: Job, output: PayloadRef | null): void {
    if (output === null || !isInline(output))
      this.#run("DELETE FROM payloads WHERE uuid = ? AND part = 'output'", job.uuid);
    const place = output === null ? null : this.#keep(job.uuid, "output", output);
    this.#run(
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
    const row = this.#all<{ bytes: ArrayBuffer }>(text, uuid)[0];
    if (row === undefined) throw new Error("a payload row is missing");
    return { kind: "inline", bytes: new Uint8Array(row.bytes) };
  }

  /** Every job that lives, or owes a line or a webhook: the memory index after a start. */
  *liveJobs(): Generator<LiveRow> {
    const cursor = this.#sql.exec<{ facts: string; webhook: string | null }>(
      `SELECT jobs.facts, jobs.webhook FROM jobs LEFT JOIN posted ON posted.tenant_id = jobs.tenant_id
       WHERE jobs.expires_at IS NULL OR jobs.webhook_next_at IS NOT NULL
         OR jobs.finish_seq > coalesce(posted.through, 0)`,
    );
    for (const row of cursor) {
      const job = parseJob(row.facts);
      const url = row.webhook === null ? null : webhookSchema.parse(JSON.parse(row.webhook)).url;
      yield { job, webhookHost: url === null ? null : new URL(url).host };
    }
    this.rowsRead += cursor.rowsRead;
  }

  /** The highest numbers given so far; a row whose line is not posted is never deleted, so nothing is given twice. */
  highestNumbers(): { readonly queueSeq: number; readonly finishSeq: number } {
    return this.#one<{ queueSeq: number; finishSeq: number }>(
      `SELECT max(coalesce((SELECT max(queue_seq) FROM jobs), 0), coalesce((SELECT max(through) FROM purged), 0)) AS queueSeq,
        max(coalesce((SELECT max(finish_seq) FROM jobs), 0), coalesce((SELECT max(finish_seq) FROM owed), 0),
            coalesce((SELECT max(through) FROM posted), 0)) AS finishSeq`,
    );
  }

  /** Up to `limit` rows after `afterUuid` in order of age, for the sweep. */
  sweepPage(afterUuid: string, limit: number): SweptJob[] {
    // Without the fields: a page of them may be larger than the memory of the object.
    const rows = this.#all<Omit<JobRow, "fields" | "webhook">>(
      `SELECT facts, idempotency_key, input_place, output_place FROM jobs WHERE uuid > ? ORDER BY uuid LIMIT ?`,
      afterUuid,
      limit,
    );
    return rows.map((row) => ({ job: parseJob(row.facts), ...toPlaces(row), idempotencyKey: row.idempotency_key }));
  }

  deleteJob(stored: SweptJob): void {
    const { uuid } = stored.job;
    if (stored.inputPlace.kind === "row" || stored.outputPlace?.kind === "row") {
      this.#run("DELETE FROM payloads WHERE uuid = ?", uuid);
    }
    this.dropStream(uuid);
    this.#hot.forget(uuid);
    this.#run("DELETE FROM jobs WHERE uuid = ?", uuid);
    this.jobRows -= 1;
  }

  /** The chunks of all attempts so far: the job is gone, or begins a new round. */
  dropStream(uuid: string): void {
    this.#run("DELETE FROM chunks WHERE uuid = ?", uuid);
    this.#run("DELETE FROM drained WHERE uuid = ?", uuid);
  }

  /** Looked for among the endpoint's newest: a tenant with few jobs must not read those of all others. */
  newestOfTenant(tenantId: string, limit: number): StoredJob[] {
    return this.#all<JobRow>(
      `SELECT ${JOB_COLUMNS} FROM jobs WHERE uuid >= coalesce(
         (SELECT uuid FROM jobs ORDER BY uuid DESC LIMIT 1 OFFSET ${LIST_ROWS_READ_MAX}), '') AND tenant_id = ?
       ORDER BY uuid DESC LIMIT ?`,
      tenantId,
      limit,
    ).map(toStoredJob);
  }

  /** What is needed to count the finished jobs of each tenant, and to know how long they took, row by row, oldest first. */
  *finishedJobs(): Generator<FinishedRow> {
    const cursor = this.#sql.exec<FinishedRow>(
      `SELECT tenant_id AS tenantId, status, facts ->> 'countedFailures' AS countedFailures,
         facts ->> 'executionMs' AS executionMs, facts ->> 'error' AS error FROM jobs WHERE expires_at IS NOT NULL`,
    );
    yield* cursor;
    this.rowsRead += cursor.rowsRead;
  }

  findKey(tenantId: string, key: string, nowMs: number): RememberedKey | null {
    const row = this.#all<{ uuid: string; mode: string; fingerprint: string; last_status: string; expires_at: number }>(
      "SELECT uuid, mode, fingerprint, last_status, expires_at FROM idempotency WHERE tenant_id = ? AND key = ? AND expires_at > ?",
      tenantId,
      key,
      nowMs,
    )[0];
    if (row === undefined) return null;
    const { uuid, mode, fingerprint, last_status: lastStatus, expires_at: expiresAtMs } = row;
    return { uuid, mode, fingerprint, lastStatus, expiresAtMs };
  }

  rememberKey(tenantId: string, key: string, remembered: RememberedKey): void {
    this.#run(
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

  /** A key outlives its job: before the row goes, the key learns how the job ended. */
  noteFinalStatus(tenantId: string, key: string, status: JobStatus): void {
    this.#run("UPDATE idempotency SET last_status = ? WHERE tenant_id = ? AND key = ?", status, tenantId, key);
  }

  postedThrough(): Map<string, number> {
    const rows = this.#all<{ tenant_id: string; through: number }>("SELECT tenant_id, through FROM posted");
    return new Map(rows.map((row) => [row.tenant_id, row.through]));
  }

  setPosted(tenantId: string, through: number): void {
    this.#run(
      "INSERT INTO posted (tenant_id, through) VALUES (?, ?) ON CONFLICT (tenant_id) DO UPDATE SET through = excluded.through",
      tenantId,
      through,
    );
  }

  /** A line that stands in no job's row. */
  owe(finishSeq: number, tenantId: string, line: string): void {
    this.#run("INSERT INTO owed (finish_seq, tenant_id, line) VALUES (?, ?, ?)", finishSeq, tenantId, line);
  }

  /** Which lines there are, in order. */
  owedLines(): { finishSeq: number; tenantId: string }[] {
    return this.#all("SELECT finish_seq AS finishSeq, tenant_id AS tenantId FROM owed ORDER BY finish_seq");
  }

  owedLine(finishSeq: number): string | null {
    return this.#all<{ line: string }>("SELECT line FROM owed WHERE finish_seq = ?", finishSeq)[0]?.line ?? null;
  }

  dropOwed(finishSeq: number): void {
    this.#run("DELETE FROM owed WHERE finish_seq = ?", finishSeq);
  }

  purgedThrough(): Map<string, { readonly through: number; readonly atMs: number }> {
    const rows = this.#all<{ tenant_id: string; through: number; at: number }>(
      "SELECT tenant_id, through, at FROM purged",
    );
    return new Map(rows.map((row) => [row.tenant_id, { through: row.through, atMs: row.at }]));
  }

  setPurged(tenantId: string, through: number, atMs: number): void {
    this.#run(
      "INSERT INTO purged (tenant_id, through, at) VALUES (?, ?, ?) ON CONFLICT (tenant_id) DO UPDATE SET through = excluded.through, at = excluded.at",
      tenantId,
      through,
      atMs,
    );
  }

  readSettings(): EndpointSettings | null {
    const row = this.#all<{ json: string }>("SELECT json FROM settings WHERE one = 1")[0];
    return row === undefined ? null : endpointSettingsSchema.parse(JSON.parse(row.json));
  }

  writeSettings(settings: EndpointSettings): void {
    this.#run(
      "INSERT INTO settings (one, json) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET json = excluded.json",
      JSON.stringify(settings),
    );
  }

  #stateColumns(job: Job): [string, number, number | null, number | null, number | null, string] {
    const expiresAt = expiresAtMs(job);
    const expiry = Number.isFinite(expiresAt) ? expiresAt : null;
    return [job.status, job.queueSeq, expiry, job.finishSeq, job.webhook?.nextAtMs ?? null, JSON.stringify(job)];
  }

  #keep(uuid: string, part: "input" | "output", payload: PayloadRef): Place {
    if (payload.kind === "r2") return { kind: "r2", key: payload.key, sizeBytes: payload.sizeBytes };
    if (isInline(payload)) return { kind: "inline" };
    this.#run(
      "INSERT INTO payloads (uuid, part, bytes) VALUES (?, ?, ?) ON CONFLICT (uuid, part) DO UPDATE SET bytes = excluded.bytes",
      uuid,
      part,
      toBuffer(payload.bytes),
    );
    return { kind: "row" };
  }

  #run(text: string, ...values: SqlStorageValue[]): void {
    const cursor = this.#sql.exec(text, ...values);
    this.rowsWritten += cursor.rowsWritten;
    this.rowsRead += cursor.rowsRead;
  }

  #all<T extends Record<string, SqlStorageValue>>(text: string, ...values: SqlStorageValue[]): T[] {
    const cursor = this.#sql.exec<T>(text, ...values);
    const rows = cursor.toArray();
    this.rowsRead += cursor.rowsRead;
    return rows;
  }

  #one<T extends Record<string, SqlStorageValue>>(text: string): T {
    const row = this.#all<T>(text)[0];
    if (row === undefined) throw new Error("a row was expected");
    return row;
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
