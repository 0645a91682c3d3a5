// Runs at the end of each call that may have changed something: brings waiting jobs and webhooks on their way, writes
// the rows that the next start must find, and arms the alarm.
import type { AlarmClock } from "./alarm.ts";
import type { Fleet } from "./fleet/fleet.ts";
import type { DispatchWake } from "./jobs/dispatch-wake.ts";
import type { LbSlots } from "./lb/slots.ts";
import type { BrokerState } from "./state.ts";
import type { WebhookOutbox } from "./webhooks/outbox.ts";

interface Parts extends BrokerState {
  readonly alarmClock: AlarmClock;
  readonly dispatchWake: DispatchWake;
  readonly webhooks: WebhookOutbox;
  readonly fleet: Fleet;
  readonly lb: LbSlots;
}

export class Wake {
  readonly #parts: Parts;
  readonly #goOn = (): Promise<void> => this.run(Date.now());

  constructor(parts: Parts) {
    this.#parts = parts;
    parts.fleet.wakeBy(this.#goOn);
    parts.lb.wakeBy(this.#goOn);
  }

  async run(nowMs: number): Promise<void> {
    const { dispatchWake, webhooks, egress, fleet } = this.#parts;
    if (dispatchWake.run(nowMs)) egress.again(this.#goOn);
    // This comes once jobs have taken the slots that are free.
    fleet.look(nowMs);
    webhooks.run(nowMs);
    await this.arm(nowMs);
  }

  /** As `run`, after a call that cannot have made a job or a webhook ready. */
  async arm(nowMs: number): Promise<void> {
    const { endpoint, troubles, kept, index, store, alarmClock } = this.#parts;
    troubles.keep(endpoint.pool, nowMs);
    // A start must not have to read many settled rows: from here on the checkpoint has their sums.
    if (kept.isDue(index.live)) {
      kept.settle(
        (uuid) => index.isLive(uuid),
        (write) => store.transaction(write),
        nowMs,
      );
    }
    await alarmClock.arm(nowMs);
  }
}
