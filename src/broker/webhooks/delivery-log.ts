// The log of deliveries: a row for each try of a webhook, by a number of its tenant's own. Each new row makes room for
// itself, so that the log stays bounded without a walk of its own.
import type { DeliveryLogApi, DeliveryPage, DeliveryTry } from "../../contract/delivery-log.ts";
import {
  DELIVERIES_LISTED_MAX,
  DELIVERIES_TENANT_MAX,
  DELIVERY_DETAIL_MAX_CHARS,
  DELIVERY_MS,
} from "../../core/job/webhook-limits.ts";
import type { MeteredSql } from "../store/metered-sql.ts";

/** Two go for each that comes, so that a log with rows past their time grows shorter, and no try deletes many rows. */
const DROPPED_AT_ONCE = 2;

interface DeliveryRow extends Record<string, SqlStorageValue>, Omit<DeliveryTry, "delivered"> {
  readonly number: number;
  readonly delivered: number;
}

export class DeliveryLog {
  readonly #sql: MeteredSql;

  constructor(sql: MeteredSql) {
    this.#sql = sql;
  }

  /** Adds a try. Called inside the transaction that writes what the try has changed. */
  insert(tenantId: string, tried: DeliveryTry, nowMs: number): void {
    this.#sql.run(
      `INSERT INTO deliveries
         (tenant_id, number, at, job_id, webhook_id, try_number, delivered, status, detail, took_ms)
       VALUES (?1, coalesce((SELECT max(number) FROM deliveries WHERE tenant_id = ?1), 0) + 1,
         ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`,
      tenantId,
      tried.atMs,
      tried.jobId,
      tried.webhookId,
      tried.tryNumber,
      tried.delivered ? 1 : 0,
      tried.status,
      tried.detail.slice(0, DELIVERY_DETAIL_MAX_CHARS),
      tried.tookMs,
    );
    // Numbers have no gap but at their start, and the newest row always stays, so no number is given twice.
    this.#sql.run(
      `DELETE FROM deliveries WHERE tenant_id = ?1
       AND number IN (SELECT number FROM deliveries WHERE tenant_id = ?1 ORDER BY number LIMIT ${DROPPED_AT_ONCE})
       AND number < (SELECT max(number) FROM deliveries WHERE tenant_id = ?1)
       AND (at < ?2
         OR number <= (SELECT max(number) FROM deliveries WHERE tenant_id = ?1) - ${DELIVERIES_TENANT_MAX})`,
      tenantId,
      nowMs - DELIVERY_MS,
    );
  }

  list({ tenantId, before, limit }: Parameters<DeliveryLogApi["listDeliveries"]>[0], nowMs: number): DeliveryPage {
    const rowsMax = Math.max(1, Math.min(limit, DELIVERIES_LISTED_MAX));
    const rows = this.#sql.all<DeliveryRow>(
      `SELECT number, at AS atMs, job_id AS jobId, webhook_id AS webhookId, try_number AS tryNumber,
         delivered, status, detail, took_ms AS tookMs
       FROM deliveries WHERE tenant_id = ? AND number < ? AND at >= ? ORDER BY number DESC LIMIT ?`,
      tenantId,
      before ?? Number.MAX_SAFE_INTEGER,
      nowMs - DELIVERY_MS,
      rowsMax,
    );
    const deliveries = rows.map(({ number: _, delivered, ...rest }) => ({ ...rest, delivered: delivered === 1 }));
    return { deliveries, next: rows.length < rowsMax ? null : (rows.at(-1)?.number ?? null) };
  }
}
