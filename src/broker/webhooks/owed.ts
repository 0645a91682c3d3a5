// Webhooks of finishes that /retry wiped from their jobs' rows before they were delivered: each has a row of its own,
// with all that its body contains but the input, which stays with the job. Memory has their keys and sizes alone.
import * as z from "zod";
import type { JobView } from "../../contract/job-view.ts";
import type { WebhookState } from "../../core/job/job.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { OWED_WEBHOOK_BYTES } from "../../core/scheduling/live-bytes.ts";
import type { MeteredSql } from "../store/metered-sql.ts";
import { bytesOfError } from "../store/stored-bytes.ts";

/** One webhook that is still to be sent. The view is the job as it was at that finish, without its output. */
export interface OwedWebhook {
  readonly uuid: string;
  readonly round: number;
  readonly tenantId: string;
  readonly url: string;
  readonly sealedSecret: string;
  readonly view: Omit<JobView, "output" | "failure">;
  readonly state: WebhookState;
  /** `row`: the output is in the row of this webhook. */
  readonly output: { readonly kind: "row" } | Extract<PayloadRef, { kind: "r2" }> | null;
}

const viewSchema = z.object({
  id: z.string(),
  status: z.enum(["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"]),
  delayMs: z.int().nullable(),
  executionMs: z.int().nullable(),
  workerId: z.string().nullable(),
  error: z.string().nullable(),
  retries: z.int(),
  queue: z.null(),
});

const owedSchema = z.object({
  uuid: z.string(),
  round: z.int(),
  tenantId: z.string(),
  url: z.string(),
  sealedSecret: z.string(),
  view: viewSchema,
  state: z.object({ tries: z.int(), nextAtMs: z.int().nullable(), dead: z.boolean(), detail: z.string().nullable() }),
  output: z
    .union([
      z.object({ kind: z.literal("row") }),
      z.object({ kind: z.literal("r2"), key: z.string(), sizeBytes: z.int() }),
    ])
    .nullable(),
});

/** A webhook that an earlier start of the object has left, as the schedule needs it. */
interface LeftWebhook extends Pick<OwedWebhook, "tenantId" | "url" | "state"> {
  readonly key: string;
}

type Remembered = Pick<OwedWebhook, "uuid" | "round" | "tenantId"> & {
  readonly view: Pick<OwedWebhook["view"], "error">;
};

interface TenantCount {
  readonly tenantId: string;
  owed: number;
  /** Bytes of outputs and error texts that stand in rows of this table. */
  bytes: number;
}

interface Owed {
  readonly tenant: TenantCount;
  readonly bytes: number;
}

export class OwedWebhooks {
  readonly #sql: MeteredSql;
  /** Keys and sizes only: an error text and two addresses each would take more memory than a job in the live index. */
  readonly #byKey = new Map<string, Owed>();
  readonly #counts = new Map<string, TenantCount>();
  #left: LeftWebhook[] = [];

  /** Reads what an earlier start of the object has left. */
  constructor(sql: MeteredSql) {
    this.#sql = sql;
    const text = "SELECT facts, coalesce(length(output), 0) AS outputBytes FROM owed_webhooks";
    for (const { facts, outputBytes } of this.#sql.each<{ facts: string; outputBytes: number }>(text)) {
      const owed = parseOwed(facts);
      this.remember(owed, outputBytes);
      const { tenantId, url, state } = owed;
      this.#left.push({ key: owedKey(owed.uuid, owed.round), tenantId, url, state });
    }
  }

  /** Upper bound of the memory that these take, bytes. */
  get bytes(): number {
    return this.#byKey.size * OWED_WEBHOOK_BYTES;
  }

  find(key: string): OwedWebhook | null {
    if (!this.#byKey.has(key)) return null;
    const { uuid, round } = splitKey(key);
    const query = "SELECT facts FROM owed_webhooks WHERE uuid = ? AND round = ?";
    return parseOwed(this.#sql.one<{ facts: string }>(query, uuid, round).facts);
  }

  /** Returns the webhooks that were there at the start; a second call returns none. */
  takeLeft(): readonly LeftWebhook[] {
    const left = this.#left;
    this.#left = [];
    return left;
  }

  countOf(tenantId: string): number {
    return this.#counts.get(tenantId)?.owed ?? 0;
  }

  /** Does the input of this job still belong to a webhook? */
  holdsJob(uuid: string): boolean {
    if (this.#byKey.size === 0) return false;
    return this.#sql.all("SELECT round FROM owed_webhooks WHERE uuid = ? LIMIT 1", uuid).length > 0;
  }

  /** Called inside the transaction of a retry. The caller calls `remember` once that has returned. */
  insert(owed: OwedWebhook, output: Uint8Array | null): void {
    this.#sql.run(
      "INSERT INTO owed_webhooks (uuid, round, facts, output) VALUES (?, ?, ?, ?)",
      owed.uuid,
      owed.round,
      JSON.stringify(owed),
      output === null ? null : new Uint8Array(output).buffer,
    );
  }

  remember({ uuid, round, tenantId, view }: Remembered, outputBytes: number): void {
    const bytes = outputBytes + bytesOfError(view.error);
    const tenant = this.#counts.get(tenantId) ?? { tenantId, owed: 0, bytes: 0 };
    tenant.owed += 1;
    tenant.bytes += bytes;
    this.#counts.set(tenantId, tenant);
    this.#byKey.set(owedKey(uuid, round), { tenant, bytes });
  }

  /** Bytes of outputs and long errors of a tenant's webhooks: a retry has moved them here from their jobs' rows. */
  bytesOf(tenantId: string): number {
    return this.#counts.get(tenantId)?.bytes ?? 0;
  }

  /** Writes the new state into the webhook's row, or deletes the row if it is delivered or given up. */
  settle(owed: OwedWebhook, state: WebhookState): void {
    if (state.nextAtMs === null) {
      this.#sql.run("DELETE FROM owed_webhooks WHERE uuid = ? AND round = ?", owed.uuid, owed.round);
      this.#forget(owedKey(owed.uuid, owed.round));
      return;
    }
    const facts = JSON.stringify({ ...owed, state });
    this.#sql.run("UPDATE owed_webhooks SET facts = ? WHERE uuid = ? AND round = ?", facts, owed.uuid, owed.round);
  }

  #forget(key: string): void {
    const owed = this.#byKey.get(key);
    if (owed === undefined) return;
    this.#byKey.delete(key);
    const { tenant, bytes } = owed;
    tenant.owed -= 1;
    tenant.bytes -= bytes;
    if (tenant.owed === 0) this.#counts.delete(tenant.tenantId);
  }

  readOutput(owed: OwedWebhook): PayloadRef | null {
    if (owed.output === null || owed.output.kind === "r2") return owed.output;
    const { output } = this.#sql.one<{ output: ArrayBuffer }>(
      "SELECT output FROM owed_webhooks WHERE uuid = ? AND round = ?",
      owed.uuid,
      owed.round,
    );
    return { kind: "inline", bytes: new Uint8Array(output) };
  }
}

/** Names one owed webhook; a uuid alone names the webhook of a job's newest finish. */
export function owedKey(uuid: string, round: number): string {
  return `${uuid}/${round}`;
}

function splitKey(key: string): { readonly uuid: string; readonly round: number } {
  const at = key.lastIndexOf("/");
  return { uuid: key.slice(0, at), round: Number(key.slice(at + 1)) };
}

function parseOwed(facts: string): OwedWebhook {
  return owedSchema.parse(JSON.parse(facts));
}
