// Purges of a broker: one row each, whatever the number of jobs, since each row written is billed. A waiting job is cancelled
// by the first purge that covers its number in the queue, and ends at that purge's time: later purges do not move it. A row
// counts the jobs that it has cancelled and goes with the last of them, so that purges never outnumber such jobs.
import { isPurgedBy, isWaiting, type Job } from "../../core/job/job.ts";
import type { MeteredSql } from "./metered-sql.ts";

export class Purges {
  readonly #sql: MeteredSql;
  /** The queue number that a tenant's newest purge covers, of tenants that were looked up; 0: there is no purge. */
  readonly #newest = new Map<string, number>();

  constructor(sql: MeteredSql) {
    this.#sql = sql;
  }

  /** When a purge has cancelled the job, epoch ms; null: none has. */
  cancelledAtMs(job: Job): number | null {
    if (!isWaiting(job.status) || !isPurgedBy(job, this.#newestOf(job.tenantId))) return null;
    return this.#firstOver(job.tenantId, job.queueSeq)?.at ?? null;
  }

  /** Called inside a transaction. The caller calls `remember` once that has returned. */
  insert(tenantId: string, through: number, atMs: number, jobs: number): void {
    const text = "INSERT INTO purges (tenant_id, through, at, jobs) VALUES (?, ?, ?, ?)";
    this.#sql.run(text, tenantId, through, atMs, jobs);
  }

  remember(tenantId: string, through: number): void {
    this.#newest.set(tenantId, through);
  }

  /** Inside the transaction that deletes these jobs' rows. `jobs` are as the rows have them, without purges applied. */
  jobsGone(jobs: readonly Job[]): void {
    const waiting = jobs.filter(({ status }) => isWaiting(status));
    for (const [tenantId, ofTenant] of Map.groupBy(waiting, (job) => job.tenantId)) {
      const gone = ofTenant.map(({ queueSeq }) => queueSeq).sort((a, b) => a - b);
      while (gone[0] !== undefined) {
        const purge = this.#firstOver(tenantId, gone[0]);
        if (purge === undefined) break;
        const counted = gone.findIndex((number) => number > purge.through);
        this.#countDown(tenantId, purge, gone.splice(0, counted === -1 ? gone.length : counted).length);
      }
    }
  }

  #countDown(tenantId: string, { through, jobs }: PurgeRow, gone: number): void {
    if (jobs > gone) {
      const text = "UPDATE purges SET jobs = jobs - ? WHERE tenant_id = ? AND through = ?";
      this.#sql.run(text, gone, tenantId, through);
      return;
    }
    this.#sql.run("DELETE FROM purges WHERE tenant_id = ? AND through = ?", tenantId, through);
    this.#newest.delete(tenantId);
  }

  #newestOf(tenantId: string): number {
    let through = this.#newest.get(tenantId);
    if (through === undefined) {
      const text = "SELECT through FROM purges WHERE tenant_id = ? ORDER BY through DESC LIMIT 1";
      through = this.#sql.all<{ through: number }>(text, tenantId)[0]?.through ?? 0;
      this.#newest.set(tenantId, through);
    }
    return through;
  }

  #firstOver(tenantId: string, queueSeq: number): PurgeRow | undefined {
    const text = `SELECT through, at, jobs FROM purges WHERE tenant_id = ? AND through >= ? ORDER BY through LIMIT 1`;
    return this.#sql.all<PurgeRow>(text, tenantId, queueSeq)[0];
  }
}

type PurgeRow = { through: number; at: number; jobs: number };
