// Webhooks of finishes that /retry wiped from their jobs' rows before they were delivered: each has a row of its own, with
// all that its body says but the input, which stays with the job. SQL and the memory over it; few ever exist at once.
import { z } from "zod";
import type { JobView } from "../contract/job-view.ts";
import type { WebhookState } from "../core/job.ts";
import type { PayloadRef } from "../core/payload-ref.ts";

/** One webhook that is still to be sent. The view is the job as it was at that finish, its output apart. */
export interface OwedWebhook {
  readonly uuid: string;
  readonly round: number;
  readonly tenantId: string;
  readonly url: string;
  readonly sealedSecret: string;
  readonly view: Omit<JobView, "output">;
  readonly state: WebhookState;
  /** `row`: in the row of this webhook. */
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

export class OwedWebhooks {
  readonly #sql: SqlStorage;
  readonly #byKey = new Map<string, OwedWebhook>();

  /** Reads what an earlier start of the object has left. */
  constructor(storage: DurableObjectStorage) {
    this.#sql = storage.sql;
    for (const { facts } of this.#sql.exec<{ facts: string }>("SELECT facts FROM owed_webhooks")) {
      const owed = owedSchema.parse(JSON.parse(facts));
      this.#byKey.set(owedKey(owed.uuid, owed.round), owed);
    }
  }

  find(key: string): OwedWebhook | null {
    return this.#byKey.get(key) ?? null;
  }

  /** All of them, with the key that names each. */
  entries(): Iterable<readonly [key: string, owed: OwedWebhook]> {
    return this.#byKey;
  }

  countOf(tenantId: string): number {
    let count = 0;
    for (const owed of this.#byKey.values()) if (owed.tenantId === tenantId) count += 1;
    return count;
  }

  /** Does the input of this job still belong to a webhook? */
  holdsJob(uuid: string): boolean {
    for (const owed of this.#byKey.values()) if (owed.uuid === uuid) return true;
    return false;
  }

  /** Inside the transaction of a retry. `remember` follows once it has returned. */
  insert(owed: OwedWebhook, output: Uint8Array | null): void {
    this.#sql.exec(
      "INSERT INTO owed_webhooks (uuid, round, facts, output) VALUES (?, ?, ?, ?)",
      owed.uuid,
      owed.round,
      JSON.stringify(owed),
      output === null ? null : new Uint8Array(output).buffer,
    );
  }

  remember(owed: OwedWebhook): void {
    this.#byKey.set(owedKey(owed.uuid, owed.round), owed);
  }

  /** One row: the new state, or none once it is delivered or given up. */
  settle(owed: OwedWebhook, state: WebhookState): void {
    const key = owedKey(owed.uuid, owed.round);
    if (state.nextAtMs === null) {
      this.#sql.exec("DELETE FROM owed_webhooks WHERE uuid = ? AND round = ?", owed.uuid, owed.round);
      this.#byKey.delete(key);
      return;
    }
    const next = { ...owed, state };
    const facts = JSON.stringify(next);
    this.#sql.exec("UPDATE owed_webhooks SET facts = ? WHERE uuid = ? AND round = ?", facts, owed.uuid, owed.round);
    this.#byKey.set(key, next);
  }

  readOutput(owed: OwedWebhook): PayloadRef | null {
    if (owed.output === null || owed.output.kind === "r2") return owed.output;
    const { output } = this.#sql
      .exec<{ output: ArrayBuffer }>(
        "SELECT output FROM owed_webhooks WHERE uuid = ? AND round = ?",
        owed.uuid,
        owed.round,
      )
      .one();
    return { kind: "inline", bytes: new Uint8Array(output) };
  }
}

/** Names one owed webhook; a uuid alone names the webhook of a job's newest finish. */
export function owedKey(uuid: string, round: number): string {
  return `${uuid}/${round}`;
}
