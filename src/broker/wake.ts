// What ends each call that may have changed something: waiting jobs and webhooks are brought on their way, the rows that the next
// start must find are written, and the alarm is armed.
import type { AlarmClock } from "./alarm.ts";
import type { DispatchWake } from "./jobs/dispatch-wake.ts";
import type { BrokerState } from "./state.ts";
import type { WebhookOutbox } from "./webhooks/outbox.ts";

interface Parts extends BrokerState {
  readonly alarmClock: AlarmClock;
  readonly dispatchWake: DispatchWake;
  readonly webhooks: WebhookOutbox;
}

export class Wake {
  readonly #parts: Parts;
  readonly #goOn = (): Promise<void> => this.run(Date.now());

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async run(nowMs: number): Promise<void> {
    const { dispatchWake, webhooks, egress } = this.#parts;
    if (dispatchWake.run(nowMs)) egress.again(this.#goOn);
    webhooks.run(nowMs);
    await this.arm(nowMs);
  }

  /** The same after what can make no job or webhook ready. */
  async arm(nowMs: number): Promise<void> {
    const { endpoint, troubles, kept, index, store, alarmClock } = this.#parts;
    troubles.keep(endpoint.pool, nowMs);
    // A start must not have to read many rows that are settled: from here on the checkpoint has the sums of those.
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
