// How much an object has sent in its present turn, and whether it may send more. The owner begins new turns by `renew`.
import { TURN_BYTES_MAX, TURN_SENDS_MAX } from "../limits.ts";

export class TurnBudget {
  #sends = 0;
  #bytes = 0;
  /** The most calls and bytes that were sent in one turn so far. */
  sendsMost = 0;
  bytesMost = 0;
  /** All bytes that were ever sent. */
  bytesSum = 0;

  /** May another call, of at most `mostBytes`, be sent in this turn? The first one always may. */
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
