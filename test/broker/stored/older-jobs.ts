// Jobs as the rows of earlier releases have them. A release is named by the number of its broker's migrations, and wrote what the
// last one with that number did.
import { v7 } from "uuid";
import type { UsageLine } from "../../../src/contract/usage.ts";
import { makeJobId } from "../../../src/core/job/id.ts";
import { holderOfWorker } from "../../../src/core/job/worker-id.ts";
import { drawNumber } from "../../support/tenant.ts";

/** A row of any table. */
export type Row = Readonly<Record<string, SqlStorageValue>>;

/** The release and the endpoint whose jobs are made. */
export interface Older {
  readonly migrations: number;
  readonly endpointId: string;
  /** The endpoint's number, which stands in the ids of jobs since the release with 8 migrations. */
  readonly number: number;
  readonly tenantId: string;
  readonly upstreamId: string;
  readonly nowMs: number;
}

/** What a release wrote if it had so many migrations at least; else nothing. */
export function since<T extends object>({ migrations }: Pick<Older, "migrations">, first: number, wrote: T) {
  return migrations >= first ? wrote : {};
}

const bytes = (text: string): ArrayBuffer => new Uint8Array(new TextEncoder().encode(text)).buffer;
export const RATE = 160_000;
const RAN_MS = 2_000;
const RETENTION_MS = 1_800_000;
export const COST = { seconds: 2, billedMs: 2_000, amountNanodollars: 2 * RATE } as const;

export interface OlderJob {
  readonly id: string;
  readonly uuid: string;
  readonly row: Row;
}

/** What differs from a job that waits since its submit: in its facts, and in the other columns of its row. */
interface Differs {
  /** How long ago it was submitted. */
  readonly agoMs: number;
  readonly queueSeq: number;
  readonly tenantId?: string;
  readonly status?: string;
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly row?: Row;
  readonly output?: string;
  readonly chunkBytes?: number;
}

const INPUT = '{"n":1.0}';

function job(
  older: Older,
  { agoMs, queueSeq, facts = {}, row = {}, output, chunkBytes = 0, ...differs }: Differs,
): OlderJob {
  const { migrations, nowMs } = older;
  const createdAtMs = nowMs - agoMs;
  const id = makeJobId(v7({ msecs: createdAtMs }), "run", migrations >= 8 ? older.number : drawNumber());
  const uuid = id.replace(/-u1$/, "");
  const { status = "IN_QUEUE", tenantId = older.tenantId } = differs;
  const stored = {
    input: INPUT.length + 2 + String(row.webhook ?? "").length,
    output: output?.length ?? 0,
    chunks: chunkBytes,
  };
  const all = {
    uuid,
    mode: "run",
    tenantId,
    ...since(older, 3, { request: null }),
    ...since(older, 8, { origin: null, request: undefined }),
    status,
    createdAtMs,
    queuedAtMs: createdAtMs,
    queueSeq,
    ttlAtMs: createdAtMs + 86_400_000,
    executionTimeoutMs: 600_000,
    lowPriority: false,
    retentionMs: RETENTION_MS,
    ...since(older, 2, { round: 0, failedOn: null, undelivered: 0, formerWorkers: [] }),
    attempts: 0,
    countedFailures: 0,
    restarts: 0,
    ...since(older, 4, { startFailures: 0 }),
    notBeforeMs: 0,
    lease: null,
    upstreamJob: null,
    delayMs: null,
    executionMs: null,
    workerId: null,
    ...(migrations >= 8 ? { failure: null, history: [] } : { error: null }),
    finishedAtMs: null,
    bill: null,
    finishSeq: null,
    webhook: null,
    ...since(older, 6, { stored }),
    ...facts,
  };
  return {
    id,
    uuid,
    row: {
      uuid,
      tenant_id: tenantId,
      mode: "run",
      status,
      queue_seq: queueSeq,
      facts: JSON.stringify(all),
      fields: "{}",
      input_place: '{"kind":"inline"}',
      input: bytes(INPUT),
      ...(output === undefined ? {} : { output_place: '{"kind":"inline"}', output: bytes(output) }),
      ...row,
    },
  };
}

export const waitingJob = (older: Older, differs: Differs): OlderJob => job(older, differs);

/** `worker` null: a carrier has pushed the job to the upstream. */
export function runningJob(
  older: Older,
  {
    lease: token,
    worker,
    ...differs
  }: Differs & { readonly lease: string; readonly worker: { keyId: string; id: string } | null },
): OlderJob {
  const { upstreamId, nowMs } = older;
  const holderId = worker === null ? upstreamId : holderOfWorker(worker.keyId, worker.id);
  const lease = {
    token,
    upstreamId: holderId,
    ...since(older, 8, { holderId }),
    ...since(older, 2, { workerKeyId: worker?.keyId ?? null }),
    ...since(older, 3, { byClient: false }),
    ...since(older, 5, { graceUntilMs: 0 }),
    tier: "a4000",
    rateKind: "flex",
    slots: 1,
    nanodollarsPerSecond: RATE,
    startedAtMs: nowMs - RAN_MS,
    untilMs: nowMs - RAN_MS + 30_000,
    incarnation: "an earlier start",
  };
  return job(older, { ...differs, status: "IN_PROGRESS", facts: { attempts: 1, delayMs: 0, lease } });
}

interface Ended extends Differs {
  readonly finishSeq: number;
  /** The address of a webhook that is owed now, with its sealed secret. */
  readonly webhook?: { readonly url: string; readonly sealedSecret: string };
  /** The text of the handler's error, of a job that has failed. */
  readonly error?: string;
}

/** A job that has run for two seconds and ended a moment after its submit. */
export function endedJob(older: Older, { finishSeq, webhook, error, ...differs }: Ended): OlderJob {
  const startedAtMs = older.nowMs - differs.agoMs;
  const finishedAtMs = startedAtMs + RAN_MS;
  const { billedMs: _, ...cost } = COST;
  const bill = {
    seq: 1,
    tier: "a4000",
    rateKind: "flex",
    slots: 1,
    nanodollarsPerSecond: RATE,
    ...cost,
    startedAtMs,
    finishedAtMs,
    ...since(older, 3, { tokens: null }),
  };
  const failure = { code: "handler_error", message: error, source: "worker" };
  return job(older, {
    ...differs,
    status: error === undefined ? "COMPLETED" : "FAILED",
    facts: {
      attempts: 1,
      delayMs: 0,
      executionMs: RAN_MS,
      workerId: older.upstreamId,
      finishedAtMs,
      bill,
      finishSeq,
      ...(webhook === undefined ? {} : { webhook: { tries: 0, nextAtMs: finishedAtMs, dead: false, detail: null } }),
      ...(error === undefined ? {} : older.migrations >= 8 ? { failure } : { error }),
    },
    row: {
      expires_at: finishedAtMs + RETENTION_MS,
      finish_seq: finishSeq,
      ...(webhook === undefined ? {} : { webhook: JSON.stringify(webhook), webhook_next_at: finishedAtMs }),
    },
  });
}

/** A line that stands in no job's row, because /retry has wiped its finish from there: a row of the table `owed`. */
export function owedLine(older: Older, { uuid, id }: OlderJob, finishSeq: number): Row {
  const { billedMs, ...cost } = COST;
  const line: Omit<UsageLine, "billedMs" | "tokens"> = {
    source: uuid,
    seq: 1,
    endpointId: older.endpointId,
    jobId: id,
    tier: "a4000",
    rateKind: "flex",
    slots: 1,
    nanodollarsPerSecond: RATE,
    ...cost,
    startedAtMs: older.nowMs - 9_000,
    finishedAtMs: older.nowMs - 7_000,
  };
  const whole = { ...line, ...since(older, 3, { billedMs, tokens: null }) };
  return { finish_seq: finishSeq, tenant_id: older.tenantId, line: JSON.stringify(whole) };
}
