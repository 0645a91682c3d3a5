// Decides whether a submit becomes a job, inside the transaction that inserts it, so that no limit can be exceeded.
import type { RepeatedCall, SubmitCall } from "../../contract/broker.ts";
import { originOf } from "../../contract/openai-origin.ts";
import type { EndpointSettings } from "../../contract/settings.ts";
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import { parseJobId, showJobId } from "../../core/job/id.ts";
import { expiresAtMs, type Job, NOT_RUN, NOTHING_TO_SEND, type StoredBytes } from "../../core/job/job.ts";
import {
  ENDPOINT_MAX_BYTES,
  ENDPOINT_ROWS_MAX,
  IDEMPOTENCY_KEYS_TENANT_MAX,
  IDEMPOTENCY_MS,
  KEYS_RETRY_AFTER_SECONDS,
  LIMIT_RETRY_AFTER_SECONDS,
  LIVE_INDEX_MAX_BYTES,
  LIVE_JOBS_MAX,
  TENANT_WEBHOOKS_OWED_MAX,
} from "../../core/limits.ts";
import type { StoredJob } from "../store/job-row.ts";
import type { BrokerStore } from "../store/jobs.ts";
import type { KeptRows } from "../store/kept-rows.ts";
import { NOTHING_KEPT } from "../store/kept-tally.ts";
import type { KeyCounts } from "../store/key-counts.ts";
import { bytesOfSubmit, sumOf } from "../store/stored-bytes.ts";
import type { TokenCalls } from "../store/token-calls.ts";
import type { OwedWebhooks } from "../webhooks/owed.ts";
import type { LiveIndex } from "./live-index.ts";
import { refuseBeyondShare } from "./tenant-share.ts";

export interface Admitted {
  readonly job: Job;
  /** What the caller receives; true also when its own call had arrived before. */
  readonly created: boolean;
  /** True: a row was written now, which memory must take over. */
  readonly inserted: boolean;
  readonly webhookHost: string | null;
  /** Applies to memory what the transaction has counted of a token; null: nothing. */
  readonly counted: (() => void) | null;
}

/** What the broker keeps in memory of live jobs and owed webhooks. */
interface LiveMemory {
  readonly index: Pick<LiveIndex, "size" | "bytes" | "counts">;
  readonly owedWebhooks: Pick<OwedWebhooks, "bytes" | "bytesOf" | "countOf">;
}

interface Facts {
  readonly store: BrokerStore;
  /** Reads a job with purges applied: a purge may have cancelled it without a write to its row. */
  readonly load: (uuid: string) => StoredJob | null;
  readonly kept: KeptRows;
  readonly nowMs: number;
  readonly queueSeq: number;
  readonly memory: LiveMemory;
  readonly keys: Pick<KeyCounts, "hasRoom" | "note">;
  readonly tokenCalls: Pick<TokenCalls, "refuse" | "note">;
  /** The new job as its row is to be written: waiting, or started already. */
  readonly enterAs: (job: Job) => Job;
}

/** Returns the new job, the job that this call or its Idempotency-Key made before, or why there is none. */
export function admit(call: SubmitCall, settings: EndpointSettings, facts: Facts): Result<Admitted> {
  const id = parseJobId(call.jobId);
  if (id === null) throw new Error("the edge made a malformed job id");
  const { store, kept, nowMs } = facts;
  const repeated = call.idempotency === null ? null : findRepeated({ ...call, idempotency: call.idempotency }, facts);
  if (repeated !== null) return repeated;
  // The edge repeats a call whose answer was lost: the job is there already.
  const known = store.findJob(id.uuid);
  // Two edges may draw one id, once in some 10^12 pairs of a millisecond.
  if (known !== null && known.job.tenantId !== call.tenantId) return fail(ID_TAKEN);
  if (known !== null) return ok({ ...AS_IT_IS, job: known.job, created: true });
  // After the repetitions, which are no further jobs; what the limits below refuse does not count.
  const spent = call.token === undefined ? null : facts.tokenCalls.refuse(call.tenantId, call.token, nowMs);
  if (spent !== null) return fail(spent);
  const waiting = refuseMoreWaiting(call.tenantId, call.waitingMax, facts.memory);
  if (waiting !== null) return fail(waiting);
  const owing = call.webhook === null ? null : refuseMoreWebhooks(call.tenantId, facts.memory);
  if (owing !== null) return fail(owing);
  const stored = bytesOfSubmit(call);
  const more = sumOf(stored) + facts.memory.owedWebhooks.bytesOf(call.tenantId);
  const beyond = refuseBeyondShare(kept.of(call.tenantId), more, settings.tenantSharePercent);
  if (beyond !== null) return fail(beyond);
  const full = kept.rows >= ENDPOINT_ROWS_MAX || store.sizeBytes >= ENDPOINT_MAX_BYTES;
  if (full || isMemoryFull(facts.memory)) return fail(QUEUE_FULL);
  if (call.idempotency !== null && !facts.keys.hasRoom(call.tenantId)) return fail(TOO_MANY_KEYS);
  const job = facts.enterAs(makeJob(call, id.uuid, stored, settings, facts));
  const idempotencyKey = call.idempotency?.key ?? null;
  kept.insert(job.uuid);
  store.insertJob({ job, fields: call.fields, webhook: call.webhook, idempotencyKey }, call.input);
  const counted = call.token === undefined ? null : facts.tokenCalls.note(call.tenantId, call.token);
  if (call.idempotency !== null) {
    const { key, fingerprint } = call.idempotency;
    const expiresAtMs = nowMs + IDEMPOTENCY_MS;
    store.rememberKey(call.tenantId, key, {
      uuid: id.uuid,
      mode: call.mode,
      fingerprint,
      lastStatus: job.status,
      expiresAtMs,
    });
    facts.keys.note(call.tenantId);
  }
  return ok({
    job,
    created: true,
    inserted: true,
    webhookHost: call.webhook === null ? null : new URL(call.webhook.url).host,
    counted,
  });
}

/** Of a job that was there before this call. */
const AS_IT_IS = { inserted: false, webhookHost: null, counted: null } as const;

/** Keys expire one by one, each a day after it came, so nobody knows in advance when there is room. */
const TOO_MANY_KEYS: Failure = {
  kind: "too_many_keys",
  keysMax: IDEMPOTENCY_KEYS_TENANT_MAX,
  retryAfterSeconds: KEYS_RETRY_AFTER_SECONDS,
};

const ID_TAKEN: Failure = { kind: "unavailable", message: "the job's id is taken: send the request again" };

const QUEUE_FULL: Failure = { kind: "queue_full", retryAfterSeconds: LIMIT_RETRY_AFTER_SECONDS };

function isMemoryFull({ index, owedWebhooks }: LiveMemory): boolean {
  return index.size >= LIVE_JOBS_MAX || index.bytes + owedWebhooks.bytes >= LIVE_INDEX_MAX_BYTES;
}

/** A finished job that is retried lives again, so the limits of live jobs hold for it, too. */
export function refuseRetry(
  { tenantId, waitingMax = Number.POSITIVE_INFINITY }: { readonly tenantId: string; readonly waitingMax?: number },
  memory: LiveMemory,
  sharePercent: number,
): Failure | null {
  const limited = refuseMoreWaiting(tenantId, waitingMax, memory) ?? refuseMoreWebhooks(tenantId, memory);
  if (limited !== null) return limited;
  // The job itself is counted already. A retry adds the result that a webhook still owes, in a row of its own.
  const beyond = refuseBeyondShare(NOTHING_KEPT, memory.owedWebhooks.bytesOf(tenantId), sharePercent);
  return beyond ?? (isMemoryFull(memory) ? QUEUE_FULL : null);
}

function refuseMoreWaiting(tenantId: string, waitingMax: number, { index }: LiveMemory): Failure | null {
  if (index.counts(tenantId).waiting < waitingMax) return null;
  return { kind: "tenant_limit", waitingMax, retryAfterSeconds: LIMIT_RETRY_AFTER_SECONDS };
}

/** A dead receiver must not fill an endpoint, by submits or by retries of failures whose webhooks are unsent. */
function refuseMoreWebhooks(tenantId: string, { index, owedWebhooks }: LiveMemory): Failure | null {
  const owed = index.counts(tenantId).webhooksOwed + owedWebhooks.countOf(tenantId);
  if (owed < TENANT_WEBHOOKS_OWED_MAX) return null;
  const retryAfterSeconds = LIMIT_RETRY_AFTER_SECONDS;
  return { kind: "webhooks_owed", owedMax: TENANT_WEBHOOKS_OWED_MAX, retryAfterSeconds };
}

/** What a submit gets whose Idempotency-Key was used before; null: it was not. */
export function findRepeated(
  { tenantId, idempotency: { key, fingerprint } }: RepeatedCall,
  { store, load, nowMs }: Pick<Facts, "store" | "load" | "nowMs">,
): Result<Admitted> | null {
  const remembered = store.findKey(tenantId, key, nowMs);
  if (remembered === null) return null;
  if (remembered.fingerprint !== fingerprint) return fail({ kind: "idempotency_mismatch" });
  const stored = load(remembered.uuid);
  if (stored !== null && expiresAtMs(stored.job) > nowMs) return ok({ ...AS_IT_IS, job: stored.job, created: false });
  const jobId = showJobId(remembered.uuid, remembered.mode === "runsync" ? "runsync" : "run");
  // A row past its retention counts as deleted, although the sweep has not reached it yet.
  const status = stored?.job.status ?? remembered.lastStatus;
  return fail({ kind: "idempotency_gone", jobId, status });
}

function makeJob(call: SubmitCall, uuid: string, stored: StoredBytes, settings: EndpointSettings, facts: Facts): Job {
  const { nowMs } = facts;
  const runsyncRetentionMs = Math.max(settings.runsyncRetentionMs, call.waitMs ?? 0);
  return {
    ...NOT_RUN,
    history: [],
    uuid,
    mode: call.mode,
    tenantId: call.tenantId,
    ...(call.token === undefined ? {} : { tokenId: call.token.id }),
    origin: originOf(call),
    createdAtMs: nowMs,
    queuedAtMs: nowMs,
    queueSeq: facts.queueSeq,
    ttlAtMs: nowMs + (call.policy.ttlMs ?? settings.ttlMs),
    executionTimeoutMs: call.policy.executionTimeoutMs ?? settings.executionTimeoutMs,
    lowPriority: call.policy.lowPriority,
    retentionMs: call.mode === "runsync" ? runsyncRetentionMs : settings.runRetentionMs,
    round: 0,
    formerWorkers: [],
    attempts: 0,
    webhook: call.webhook === null ? null : NOTHING_TO_SEND,
    stored,
  };
}
