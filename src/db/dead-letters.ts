// Dead letters: webhooks that were given up, which their tenant can list.
import { DEAD_LETTER_MS, DEAD_LETTERS_LISTED_MAX, DEAD_LETTERS_TENANT_MAX } from "../core/limits.ts";

export interface DeadLetter {
  readonly webhookId: string;
  readonly endpointId: string;
  readonly jobId: string;
  readonly url: string;
  readonly tries: number;
  readonly detail: string;
  readonly givenUpAtMs: number;
}

/** Two go for each that comes: a tenant beyond the bound comes down to it, and no call deletes thousands of rows. */
const DROPPED_AT_ONCE = 2;

/** Stores a dead letter once by its webhook id, and deletes the oldest ones that are past their time or too many. */
export async function keepDeadLetter(db: D1Database, tenantId: string, deadLetter: DeadLetter): Promise<void> {
  // In JSON half a pair of UTF-16, which a client may write in a URL, would become bytes that are no UTF-8.
  const asText = (_: string, value: unknown) => (typeof value === "string" ? value.toWellFormed() : value);
  const insert = db
    .prepare(
      `INSERT INTO webhook_dead_letters (tenant_id, number, webhook_id, endpoint_id, job_id, url, tries, detail, given_up_at)
       SELECT ?1, coalesce((SELECT max(number) FROM webhook_dead_letters WHERE tenant_id = ?1), 0) + 1, ?2 ->> 'webhookId',
         ?2 ->> 'endpointId', ?2 ->> 'jobId', ?2 ->> 'url', ?2 ->> 'tries', ?2 ->> 'detail', ?2 ->> 'givenUpAtMs'
       WHERE true ON CONFLICT (tenant_id, webhook_id) DO NOTHING`,
    )
    .bind(tenantId, JSON.stringify(deadLetter, asText));
  // The oldest by number are the oldest by time, but for clocks of different brokers. Numbers have no gap but at their start.
  const drop = db
    .prepare(
      `DELETE FROM webhook_dead_letters WHERE tenant_id = ?1
       AND number IN (SELECT number FROM webhook_dead_letters WHERE tenant_id = ?1 ORDER BY number LIMIT ${DROPPED_AT_ONCE})
       AND (given_up_at < ?2
         OR number <= (SELECT max(number) FROM webhook_dead_letters WHERE tenant_id = ?1) - ${DEAD_LETTERS_TENANT_MAX})`,
    )
    .bind(tenantId, deadLetter.givenUpAtMs - DEAD_LETTER_MS);
  await db.batch([insert, drop]);
}

/** The tenant's newest dead letters, newest first, at most DEAD_LETTERS_LISTED_MAX. */
export async function listDeadLetters(db: D1Database, tenantId: string): Promise<DeadLetter[]> {
  const { results } = await db
    .prepare(
      `SELECT webhook_id AS webhookId, endpoint_id AS endpointId, job_id AS jobId, url, tries, detail,
         given_up_at AS givenUpAtMs FROM webhook_dead_letters
       WHERE tenant_id = ? ORDER BY number DESC LIMIT ${DEAD_LETTERS_LISTED_MAX}`,
    )
    .bind(tenantId)
    .all<DeadLetter>();
  return results;
}
