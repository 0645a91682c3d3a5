// What time alone does to the jobs of a broker: deadlines that have come, and rows whose retention is over.
import { ALARM_ROWS_MAX, TURN_ROWS_MAX } from "../../core/limits.ts";
import type { BrokerStore } from "../store/jobs.ts";
import type { KeptRows } from "../store/kept-rows.ts";
import type { KeyCounts } from "../store/key-counts.ts";
import type { UsageOutbox } from "../usage/outbox.ts";
import type { OwedWebhooks } from "../webhooks/owed.ts";
import type { Egress } from "./egress.ts";
import type { Jobs } from "./jobs.ts";
import type { LiveIndex } from "./live-index.ts";
import type { Sweep } from "./sweep.ts";

interface Parts {
  readonly store: BrokerStore;
  readonly kept: KeptRows;
  readonly jobs: Jobs;
  readonly index: LiveIndex;
  readonly usageOutbox: UsageOutbox;
  readonly sweep: Sweep;
  readonly keys: KeyCounts;
  readonly owedWebhooks: OwedWebhooks;
  readonly egress: Egress;
  /** Deletes objects of R2; not waited for. */
  readonly dropPayloads: (keys: readonly string[]) => void;
}

export class Housekeeping {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * One alarm's share, by portions in turns of their own: at most ALARM_ROWS_MAX jobs, as many rows of the sweep, and some pages of
   * the walk over keys.
   */
  async run(nowMs: number): Promise<void> {
    for (let handled = 0; handled < ALARM_ROWS_MAX; handled += TURN_ROWS_MAX) {
      const hasMore = [this.#passTime(nowMs), this.#sweepPage(nowMs), this.#walkKeys(nowMs)];
      if (!hasMore.includes(true)) break;
      await this.#parts.egress.nextTurn();
    }
  }

  /** A start must not have to read many rows that are settled: from here on the checkpoint has the sums of those. */
  keepStartSmall(nowMs: number): void {
    const { store, kept, index } = this.#parts;
    if (!kept.isDue(index.live)) return;
    const isLive = (uuid: string): boolean => index.isLive(uuid);
    kept.settle(isLive, (write) => store.transaction(write), nowMs);
  }

  /** True: there may be more. */
  #passTime(nowMs: number): boolean {
    const { jobs, index, usageOutbox } = this.#parts;
    for (let handled = 0; handled < TURN_ROWS_MAX; handled += 1) {
      const uuid = index.takeDue(nowMs);
      if (uuid === undefined) return false;
      const stored = jobs.load(uuid);
      if (stored === null) {
        index.forget(uuid);
        continue;
      }
      const moved = jobs.apply(stored, { kind: "time" }, nowMs);
      if (moved.job === stored.job) index.put(stored.job, usageOutbox.through(stored.job.tenantId), null, nowMs);
    }
    return true;
  }

  /** True: there is more, as in the next one. */
  #sweepPage(nowMs: number): boolean {
    const { sweep, keys } = this.#parts;
    if (sweep.nextAtMs > nowMs) return false;
    this.#runSweep(nowMs);
    keys.beginWalk(nowMs);
    return sweep.nextAtMs <= nowMs;
  }

  #walkKeys(nowMs: number): boolean {
    const { store, keys } = this.#parts;
    if (!keys.isDue(nowMs)) return false;
    store.transaction(() => keys.walkOn(nowMs));
    return keys.nextAtMs <= nowMs;
  }

  #runSweep(nowMs: number): void {
    const { jobs, index, sweep, owedWebhooks } = this.#parts;
    const keys = sweep.run(
      nowMs,
      (stored) => jobs.settle(stored),
      (job) => !index.has(job.uuid) && !owedWebhooks.holdsJob(job.uuid),
    );
    this.#parts.dropPayloads(keys);
  }
}
