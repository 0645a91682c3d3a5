// Dead letters: webhooks that were given up, which their tenant can list and send again. A row that was delivered since
// is in no list, and stays until it is dropped: a letter that is offered again must find it.
import { DEAD_LETTER_MS, DEAD_LETTERS_TENANT_MAX } from "../core/limits.ts";

export interface DeadLetter {
  readonly webhookId: string;
  readonly endpointId: string;
  readonly jobId: string;
  readonly url: string;
  readonly tries: number;
  readonly detail: string;
  readonly givenUpAtMs: number;
}

/** `redeliverable`: its body is kept, so it can be sent again. */
export interface ListedDeadLetter extends DeadLetter {
  readonly redeliverable: boolean;
}

/** A dead letter with its place in the order of its tenant's letters. */
export interface NumberedDeadLetter extends ListedDeadLetter {
  readonly number: number;
}

/** What D1 has of a letter after it was offered. */
interface KeptLetter {
  /** When it was first offered. */
  readonly givenUpAtMs: number;
  readonly isDelivered: boolean;
  /** Webhook ids of letters that were dropped for it, whose bodies are to go, too. */
  readonly dropped: readonly string[];
}

/** Two go for each that comes: a tenant beyond the bound comes down to it, and no call deletes thousands of rows. */
const DROPPED_AT_ONCE = 2;

/**
 * Stores a dead letter once by its webhook id, and deletes the oldest ones that are past their time or too many.
 * `bodyStoredAtMs`: since when its body is kept; null: it is not. One that is kept already gets that time if it has
 * none.
 */
export async function keepDeadLetter(
  db: D1Database,
  tenantId: string,
  deadLetter: DeadLetter,
  bodyStoredAtMs: number | null,
): Promise<KeptLetter> {
  // In JSON half a pair of UTF-16, which a client may write in a URL, would become bytes that are no UTF-8.
  const asText = (_: string, value: unknown) => (typeof value === "string" ? value.toWellFormed() : value);
  const insert = db
    .prepare(
      `INSERT INTO webhook_dead_letters
         (tenant_id, number, webhook_id, endpoint_id, job_id, url, tries, detail, given_up_at, body_stored_at)
       SELECT ?1, coalesce((SELECT max(number) FROM webhook_dead_letters WHERE tenant_id = ?1), 0) + 1, ?2 ->> 'webhookId',
         ?2 ->> 'endpointId', ?2 ->> 'jobId', ?2 ->> 'url', ?2 ->> 'tries', ?2 ->> 'detail', ?2 ->> 'givenUpAtMs', ?3
       WHERE true ON CONFLICT (tenant_id, webhook_id) DO UPDATE SET body_stored_at = excluded.body_stored_at
       WHERE body_stored_at IS NULL AND delivered_at IS NULL AND excluded.body_stored_at IS NOT NULL`,
    )
    .bind(tenantId, JSON.stringify(deadLetter, asText), bodyStoredAtMs);
  // The oldest by number are the oldest by time, but for clocks of different brokers. Numbers have no gap but at their
  // start.
  const drop = db
    .prepare(
      `DELETE FROM webhook_dead_letters WHERE tenant_id = ?1
       AND number IN (SELECT number FROM webhook_dead_letters WHERE tenant_id = ?1 ORDER BY number LIMIT ${DROPPED_AT_ONCE})
       AND (given_up_at < ?2
         OR number <= (SELECT max(number) FROM webhook_dead_letters WHERE tenant_id = ?1) - ${DEAD_LETTERS_TENANT_MAX})
       RETURNING webhook_id`,
    )
    .bind(tenantId, deadLetter.givenUpAtMs - DEAD_LETTER_MS);
  const find = db
    .prepare(
      `SELECT given_up_at AS givenUpAtMs, delivered_at IS NOT NULL AS isDelivered
       FROM webhook_dead_letters WHERE tenant_id = ?1 AND webhook_id = ?2`,
    )
    .bind(tenantId, deadLetter.webhookId);
  const [, dropped, found] = await db.batch<Record<string, unknown>>([insert, drop, find]);
  const [kept] = found?.results ?? [];
  return {
    givenUpAtMs: Number(kept?.givenUpAtMs ?? deadLetter.givenUpAtMs),
    isDelivered: kept?.isDelivered === 1,
    dropped: (dropped?.results ?? []).map((row) => String(row.webhook_id)),
  };
}

const LISTED = `number, webhook_id AS webhookId, endpoint_id AS endpointId, job_id AS jobId, url, tries, detail,
  given_up_at AS givenUpAtMs`;

/**
 * Which letters to list: those with a lower number than `before` (the `next` of the answer before), null: the newest.
 */
export interface DeadLetterPage {
  readonly before: number | null;
  readonly limit: number;
  readonly nowMs: number;
  /** The only endpoints whose letters may be read; absent or null: all. */
  readonly only?: readonly string[] | null;
}

/** A page of the tenant's dead letters, newest first. `next` null: there are no older ones. */
export async function listDeadLetters(
  db: D1Database,
  tenantId: string,
  { before, limit, nowMs, only = null }: DeadLetterPage,
): Promise<{ readonly letters: readonly ListedDeadLetter[]; readonly next: number | null }> {
  const { results } = await db
    .prepare(
      `SELECT ${LISTED}, coalesce(body_stored_at > ?2, 0) AS redeliverable FROM webhook_dead_letters
       WHERE tenant_id = ?1 AND delivered_at IS NULL AND number < ?3
         AND (?5 IS NULL OR endpoint_id IN (SELECT value FROM json_each(?5))) ORDER BY number DESC LIMIT ?4`,
    )
    .bind(tenantId, storedAfterMs(nowMs), before ?? Number.MAX_SAFE_INTEGER, limit + 1, only && JSON.stringify(only))
    .all<LetterRow>();
  const page = results.slice(0, limit).map(toNumbered);
  const next = results.length > limit ? (page.at(-1)?.number ?? null) : null;
  return { letters: page.map(({ number: _, ...letter }) => letter), next };
}

/** A dead letter by its webhook id; null: the tenant has none of it that is still to be delivered. */
export async function findDeadLetter(
  db: D1Database,
  tenantId: string,
  webhookId: string,
  nowMs: number,
): Promise<NumberedDeadLetter | null> {
  const row = await db
    .prepare(
      `SELECT ${LISTED}, coalesce(body_stored_at > ?3, 0) AS redeliverable FROM webhook_dead_letters
       WHERE tenant_id = ?1 AND webhook_id = ?2 AND delivered_at IS NULL`,
    )
    .bind(tenantId, webhookId, storedAfterMs(nowMs))
    .first<LetterRow>();
  return row === null ? null : toNumbered(row);
}

/**
 * The oldest letters that can be sent again and have a number beyond `after`, and how many there are of them in all.
 */
export async function nextRedeliverable(
  db: D1Database,
  tenantId: string,
  { after, limit, nowMs }: { readonly after: number; readonly limit: number; readonly nowMs: number },
): Promise<{ readonly letters: readonly NumberedDeadLetter[]; readonly inAll: number }> {
  const which = `FROM webhook_dead_letters
    WHERE tenant_id = ?1 AND number > ?2 AND delivered_at IS NULL AND body_stored_at > ?3`;
  const values = [tenantId, after, storedAfterMs(nowMs)] as const;
  const [found, counted] = await db.batch<LetterRow & { readonly inAll: number }>([
    db.prepare(`SELECT ${LISTED}, 1 AS redeliverable ${which} ORDER BY number LIMIT ?4`).bind(...values, limit),
    db.prepare(`SELECT count(*) AS inAll ${which}`).bind(...values),
  ]);
  return { letters: (found?.results ?? []).map(toNumbered), inAll: counted?.results[0]?.inAll ?? 0 };
}

/** The letter was delivered: it is in no list any more. */
export async function noteRedelivered(
  db: D1Database,
  tenantId: string,
  webhookId: string,
  nowMs: number,
): Promise<void> {
  await db
    .prepare(
      `UPDATE webhook_dead_letters SET tries = tries + 1, delivered_at = ?3, body_stored_at = NULL
       WHERE tenant_id = ?1 AND webhook_id = ?2 AND delivered_at IS NULL`,
    )
    .bind(tenantId, webhookId, nowMs)
    .run();
}

/** The letter was sent again in vain. */
export async function noteRefused(db: D1Database, tenantId: string, webhookId: string, detail: string): Promise<void> {
  await db
    .prepare(
      `UPDATE webhook_dead_letters SET tries = tries + 1, detail = ?3
       WHERE tenant_id = ?1 AND webhook_id = ?2 AND delivered_at IS NULL`,
    )
    .bind(tenantId, webhookId, detail)
    .run();
}

/** R2 has no body of the letter, so it cannot be sent again. */
export async function noteBodyGone(db: D1Database, tenantId: string, webhookId: string): Promise<void> {
  await db
    .prepare("UPDATE webhook_dead_letters SET body_stored_at = NULL WHERE tenant_id = ?1 AND webhook_id = ?2")
    .bind(tenantId, webhookId)
    .run();
}

type LetterRow = Omit<NumberedDeadLetter, "redeliverable"> & { readonly redeliverable: number };

function toNumbered({ redeliverable, ...letter }: LetterRow): NumberedDeadLetter {
  return { ...letter, redeliverable: redeliverable === 1 };
}

/** Bodies that were stored up to this time have gone by the bucket's own rule of 30 days. */
function storedAfterMs(nowMs: number): number {
  return nowMs - DEAD_LETTER_MS;
}
