// What has left an object in its present turn, and whether more may. Its owner says when a new turn begins.
import { TURN_BYTES_MAX, TURN_SENDS_MAX } from "../limits.ts";

export class TurnBudget {
  #sends = 0;
  #bytes = 0;
  /** The most that left in one turn so far. */
  sendsMost = 0;
  bytesMost = 0;
  /** All that ever left. */
  bytesSum = 0;

  /** May one more, of up to so many bytes, leave in this turn? The first one always may. */
  fits(mostBytes: number): boolean {
    if (this.#sends === 0) return true;
    return this.#sends < TURN_SENDS_MAX && this.#bytes + mostBytes <= TURN_BYTES_MAX;
  }

  spend(bytes: number): void {
    this.#sends += 1;
    this.#bytes += bytes;
    this.bytesSum += bytes;
    this.sendsMost = Math.max(this.sendsMost, this.#sends);
    this.bytesMost = Math.max(this.bytesMost, this.#bytes);
  }

  /** Another turn has begun. */
  renew(): void {
    this.#sends = 0;
    this.#bytes = 0;
  }
}
