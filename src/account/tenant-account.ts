// TenantAccount: keeps one tenant's usage lines in order. A batch is durable here before its broker forgets it, and
// stays until D1 has it; D1 may be down for hours. A line counts once, here by (broker, finishSeq), in D1 by its key.
import { DurableObject } from "cloudflare:workers";
import type { AccountApi, ParkedUsage, UsageBatch } from "../contract/usage.ts";
import { backoffMs } from "../core/job/backoff.ts";
import {
  ACCOUNT_MAX_BYTES,
  ACCOUNT_SAFETY_MS,
  D1_RETRY_BASE_MS,
  D1_RETRY_MAX_MS,
  PARKED_LISTED_MAX,
} from "../core/limits.ts";
import { log } from "../log.ts";
import { writeBatch } from "./batch-writer.ts";
import { AccountStore } from "./store.ts";

export class TenantAccount extends DurableObject<Env> implements AccountApi {
  readonly #tenantId: string;
  readonly #store: AccountStore;
  #writing: Promise<void> | null = null;
  #failures = 0;
  /** While D1 is down a post does not write to it before this time, epoch ms. */
  #notBeforeMs = 0;
  /** When this object last set its alarm to, epoch ms; remembered because each setAlarm is a billed row. */
  #alarmAtMs = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    if (ctx.id.name === undefined) throw new Error("an account is reached by the id of its tenant");
    this.#tenantId = ctx.id.name;
    this.#store = new AccountStore(ctx.storage);
  }

  async post(batch: UsageBatch): Promise<{ postedThrough: number }> {
    // The broker keeps a refused batch and posts it again later. Settling the stored batches here still needs room.
    if (this.#store.sizeBytes >= ACCOUNT_MAX_BYTES) throw new Error("the account is full: D1 takes no lines");
    const postedThrough = this.#store.accept(batch);
    const nowMs = Date.now();
    // The output gate holds the answer back until the rows and the alarm are both durable.
    await this.#arm(nowMs, nowMs + ACCOUNT_SAFETY_MS);
    if (nowMs >= this.#notBeforeMs) this.ctx.waitUntil(this.#write());
    return { postedThrough };
  }

  async parked(): Promise<ParkedUsage[]> {
    return this.#store.listParked(PARKED_LISTED_MAX);
  }

  /** Never throws: the platform drops an alarm that throws seven times, and then nothing would write the lines. */
  override async alarm(): Promise<void> {
    this.#alarmAtMs = 0;
    try {
      await this.#write();
      const nowMs = Date.now();
      if (this.#store.oldest() !== null) await this.#arm(nowMs, Math.max(this.#notBeforeMs, nowMs + D1_RETRY_BASE_MS));
    } catch (error) {
      log("account_alarm_failed", { tenant: this.#tenantId, error: String(error) });
      await this.ctx.storage.setAlarm(Date.now() + D1_RETRY_MAX_MS).catch(() => undefined);
    }
  }

  /** Sets the alarm, unless an earlier one is set: an alarm with nothing to do costs less than setting many anew. */
  async #arm(nowMs: number, atMs: number): Promise<void> {
    if (this.#alarmAtMs > nowMs && this.#alarmAtMs <= atMs) return;
    this.#alarmAtMs = atMs;
    await this.ctx.storage.setAlarm(atMs);
  }

  /** Writes the kept batches, one call to D1 at a time; a caller that comes meanwhile waits for the same run. */
  async #write(): Promise<void> {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = null;
    });
    await this.#writing;
    // A batch may have come while the last call to D1 was ending: it joined a run that was about to stop without it.
    if (this.#failures === 0 && this.#store.oldest() !== null) await this.#write();
  }

  async #writeAll(): Promise<void> {
    try {
      for (let kept = this.#store.oldest(); kept !== null; kept = this.#store.oldest()) {
        const outcome = await writeBatch(this.env.DB, this.#tenantId, kept);
        if (outcome.kind === "refused") {
          this.#store.split(kept);
          continue;
        }
        this.#store.settle(kept, outcome.parked, Date.now());
        for (const { reason } of outcome.parked) {
          log("usage_line_parked", { tenant: this.#tenantId, broker: kept.broker, reason });
        }
      }
      this.#failures = 0;
      this.#notBeforeMs = 0;
    } catch (error) {
      this.#failures += 1;
      log("usage_write_failed", { tenant: this.#tenantId, failures: this.#failures, error: String(error) });
      const nowMs = Date.now();
      this.#notBeforeMs = nowMs + backoffMs(this.#failures, D1_RETRY_BASE_MS, D1_RETRY_MAX_MS, Math.random());
      await this.#arm(nowMs, this.#notBeforeMs);
    }
  }
}
