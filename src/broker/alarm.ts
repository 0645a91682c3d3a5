// The one alarm of an object, and the list of what it is for. It is set only when it must come earlier, and rounded up, because
// each setAlarm is a billed row.
import { ALARM_LOST_AFTER_MS, ALARM_ROWS_MAX, ALARM_STEP_MS, TURN_ROWS_MAX } from "../core/limits.ts";
import { log } from "../log.ts";
import type { Egress } from "./jobs/egress.ts";
import type { Meter } from "./meter.ts";
import type { Platform } from "./platform.ts";

/** A part that time alone makes work for. */
export interface Timed {
  /** When there is work next, epoch ms; Infinity: not by time alone. Looked up whenever the alarm is armed. */
  nextAtMs(nowMs: number): number;
  /**
   * Does what is due by now, as much of it as one turn can bear. True: there is more, for the next turn. A promise is
   * work that goes on, and no other part's deadline waits for it; when it is over, the alarm is armed anew.
   */
  run(nowMs: number): boolean | Promise<void>;
}

/** An alarm does at most this many portions of each part, and leaves the rest to the next alarm. */
const PORTIONS_MAX = ALARM_ROWS_MAX / TURN_ROWS_MAX;

interface Parts {
  readonly platform: Pick<Platform, "endpointId" | "storage">;
  readonly meter: Meter;
  /** In the order in which they run. */
  readonly timed: readonly Timed[];
  readonly egress: Pick<Egress, "nextTurn">;
}

export class AlarmClock {
  readonly #parts: Parts;
  #armedAtMs = Number.POSITIVE_INFINITY;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** An alarm that an earlier start of the object has set is kept, also a late one: it is about to run. */
  async readArmed(): Promise<void> {
    this.#armedAtMs = (await this.#parts.platform.storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
  }

  /** True: an alarm is set and not lost. An alarm that is long past was lost by the platform. */
  isArmed(nowMs: number): boolean {
    return Number.isFinite(this.#armedAtMs) && nowMs < this.#armedAtMs + ALARM_LOST_AFTER_MS;
  }

  /** Sets the alarm so that it comes by the time that the first of the parts has work. */
  async arm(nowMs: number): Promise<void> {
    const earliestMs = Math.min(...this.#parts.timed.map((part) => part.nextAtMs(nowMs)));
    if (!Number.isFinite(earliestMs)) return;
    const atMs = Math.ceil(Math.max(earliestMs, nowMs) / ALARM_STEP_MS) * ALARM_STEP_MS;
    if (atMs >= this.#armedAtMs && this.isArmed(nowMs)) return;
    this.#armedAtMs = atMs;
    this.#parts.meter.alarmsSet += 1;
    await this.#parts.platform.storage.setAlarm(atMs);
  }

  /** The alarm has come: each part does its portions, in turns of their own. `goesOn` is given what is not waited for. Never throws. */
  async ring(goesOn: (work: Promise<void>) => void): Promise<void> {
    this.#armedAtMs = Number.POSITIVE_INFINITY;
    let left = this.#parts.timed;
    for (let portions = 1; ; portions += 1) {
      // Of this turn: by the time of the first one a lease could begin before its job came.
      const nowMs = Date.now();
      left = left.filter((part) => this.#runPortion(part, nowMs, goesOn));
      if (left.length === 0 || portions >= PORTIONS_MAX) return;
      await this.#parts.egress.nextTurn();
    }
  }

  /** True: there is more. */
  #runPortion(part: Timed, nowMs: number, goesOn: (work: Promise<void>) => void): boolean {
    try {
      const ran = part.run(nowMs);
      if (typeof ran === "boolean") return ran;
      goesOn(ran);
    } catch (error) {
      // An alarm that throws seven times is dropped by the platform, and with it every deadline of the endpoint.
      log("alarm_failed", { endpoint: this.#parts.platform.endpointId, error: String(error) });
    }
    return false;
  }
}
