// TenantAccount: the order of one tenant's usage lines. A batch is durable here before its broker forgets it, and stays
// until D1 has it; D1 may be down for hours. A line counts once, by (broker, finishSeq) here and by its key in D1.
import { DurableObject } from "cloudflare:workers";
import type { AccountApi, UsageBatch } from "../contract/usage.ts";
import { backoffMs } from "../core/backoff.ts";
import { writeUsage } from "../db/usage.ts";
import { log } from "../log.ts";
import { AccountStore } from "./store.ts";

/** D1 is asked again after these, doubled: short enough that a line is there soon after an outage. */
const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 60_000;

export class TenantAccount extends DurableObject<Env> implements AccountApi {
  readonly #tenantId: string;
  readonly #store: AccountStore;
  #writing: Promise<void> | null = null;
  #failures = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#tenantId = ctx.id.name ?? ctx.id.toString();
    this.#store = new AccountStore(ctx.storage);
  }

  async post(batch: UsageBatch): Promise<{ postedThrough: number }> {
    const postedThrough = this.#store.accept(batch);
    // The safety net first: if this object dies before D1 has the batch, the alarm goes on.
    await this.ctx.storage.setAlarm(Date.now() + RETRY_BASE_MS * 5);
    this.ctx.waitUntil(this.#write());
    return { postedThrough };
  }

  override async alarm(): Promise<void> {
    await this.#write();
  }

  /** Writes what is kept, one call at a time. Never throws: an alarm that does is dropped after seven times. */
  #write(): Promise<void> {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  async #writeAll(): Promise<void> {
    try {
      for (let kept = this.#store.oldest(); kept !== null; kept = this.#store.oldest()) {
        await writeUsage(this.env.DB, this.#tenantId, kept.broker, kept.through, kept.lines);
        this.#store.remove(kept.id);
      }
      this.#failures = 0;
      await this.ctx.storage.deleteAlarm();
    } catch (error) {
      this.#failures += 1;
      log("usage_write_failed", { tenant: this.#tenantId, failures: this.#failures, error: String(error) });
      const waitMs = backoffMs(this.#failures, RETRY_BASE_MS, RETRY_MAX_MS, Math.random());
      await this.ctx.storage.setAlarm(Date.now() + waitMs);
    }
  }
}
