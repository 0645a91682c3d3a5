// What one side of a WebSocket has been sent and may not have read. The platform neither holds back a sender nor tells what has been
// read, so that this is judged by what the side says itself.
import { LB_SOCKET_READ_BYTES_PER_SECOND, LB_SOCKET_UNHEARD_MAX_BYTES } from "./limits.ts";

/**
 * A message from a side shows that it is there, but not how much it has read. It counts for what a side reads in the time since
 * its last message or, where that is more, for its own size, because sides that answer large messages by large ones read them.
 * Were all forgiven by any message, a side that says a byte now and then would let memory grow as fast as it is sent to.
 */
export class Unheard {
  #bytes = 0;
  #heardAtMs: number;

  constructor(nowMs: number) {
    this.#heardAtMs = nowMs;
  }

  /** What is unheard, with what was refused last. */
  get bytes(): number {
    return this.#bytes;
  }

  /** False: the side must not be sent so much more. */
  take(bytes: number): boolean {
    this.#bytes += bytes;
    return this.#bytes <= LB_SOCKET_UNHEARD_MAX_BYTES;
  }

  /** The side has said something. */
  hear(bytes: number, nowMs: number): void {
    const readBytes = ((nowMs - this.#heardAtMs) / 1_000) * LB_SOCKET_READ_BYTES_PER_SECOND;
    this.#bytes = Math.max(0, this.#bytes - Math.max(bytes, readBytes));
    this.#heardAtMs = nowMs;
  }
}
