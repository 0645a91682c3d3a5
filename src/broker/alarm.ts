// The one alarm of an object: set only when it must come earlier, and rounded up, because each setAlarm is a billed row.
import { ALARM_LOST_AFTER_MS, ALARM_STEP_MS } from "../core/limits.ts";
import type { Meter } from "./meter.ts";

export class AlarmClock {
  readonly #storage: DurableObjectStorage;
  readonly #meter: Meter;
  #armedAtMs = Number.POSITIVE_INFINITY;

  constructor(storage: DurableObjectStorage, meter: Meter) {
    this.#storage = storage;
    this.#meter = meter;
  }

  /** An alarm that an earlier start of the object has set is kept, also a late one: it is about to run. */
  async readArmed(): Promise<void> {
    this.#armedAtMs = (await this.#storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
  }

  /** One is set, and has not been lost: one that is long past was lost by the platform. */
  isArmed(nowMs: number): boolean {
    return Number.isFinite(this.#armedAtMs) && nowMs < this.#armedAtMs + ALARM_LOST_AFTER_MS;
  }

  /** The alarm runs: none is set any more. */
  rang(): void {
    this.#armedAtMs = Number.POSITIVE_INFINITY;
  }

  /** Sees to it that the alarm comes by `earliestMs`, epoch ms; Infinity asks for none. */
  async arm(earliestMs: number, nowMs: number): Promise<void> {
    if (!Number.isFinite(earliestMs)) return;
    const atMs = Math.ceil(Math.max(earliestMs, nowMs) / ALARM_STEP_MS) * ALARM_STEP_MS;
    if (atMs >= this.#armedAtMs && this.isArmed(nowMs)) return;
    this.#armedAtMs = atMs;
    this.#meter.alarmsSet += 1;
    await this.#storage.setAlarm(atMs);
  }
}
