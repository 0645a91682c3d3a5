// Webhooks that were given up, for their tenant to see.
import { DEAD_LETTER_MS } from "../core/limits.ts";

export interface DeadLetter {
  readonly webhookId: string;
  readonly endpointId: string;
  readonly jobId: string;
  readonly url: string;
  readonly tries: number;
  readonly detail: string;
  readonly givenUpAtMs: number;
}

type DeadLetterRow = {
  webhook_id: string;
  endpoint_id: string;
  job_id: string;
  url: string;
  tries: number;
  detail: string;
  given_up_at: number;
};

/** Keeps one, once: the same webhook id again changes nothing. Those past their time go in the same call. */
export async function keepDeadLetter(db: D1Database, tenantId: string, letter: DeadLetter): Promise<void> {
  const insert = db
    .prepare(
      `INSERT INTO webhook_dead_letters (tenant_id, webhook_id, endpoint_id, job_id, url, tries, detail, given_up_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, webhook_id) DO NOTHING`,
    )
    .bind(
      tenantId,
      letter.webhookId,
      letter.endpointId,
      letter.jobId,
      letter.url,
      letter.tries,
      letter.detail,
      letter.givenUpAtMs,
    );
  const sweep = db
    .prepare("DELETE FROM webhook_dead_letters WHERE tenant_id = ? AND given_up_at < ?")
    .bind(tenantId, letter.givenUpAtMs - DEAD_LETTER_MS);
  await db.batch([insert, sweep]);
}

/** The tenant's newest, at most 1,000. */
export async function listDeadLetters(db: D1Database, tenantId: string): Promise<DeadLetter[]> {
  const { results } = await db
    .prepare(
      `SELECT webhook_id, endpoint_id, job_id, url, tries, detail, given_up_at FROM webhook_dead_letters
       WHERE tenant_id = ? ORDER BY given_up_at DESC LIMIT 1000`,
    )
    .bind(tenantId)
    .all<DeadLetterRow>();
  return results.map((row) => ({
    webhookId: row.webhook_id,
    endpointId: row.endpoint_id,
    jobId: row.job_id,
    url: row.url,
    tries: row.tries,
    detail: row.detail,
    givenUpAtMs: row.given_up_at,
  }));
}
