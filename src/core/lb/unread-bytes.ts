// Estimates how many bytes were sent to one side of a WebSocket that it has not read. The platform neither slows down a
// sender nor reports what was read, so the estimate uses the messages that the side itself sends.
import { LB_SOCKET_READ_BYTES_PER_SECOND, LB_SOCKET_UNREAD_MAX_BYTES } from "../limits.ts";

/**
 * A message from a side shows that the side is alive, but not how much it has read. So each message takes off what a
 * side reads in the time since its last message or, if that is more, the message's own size, because a side that
 * answers large messages with large ones reads them. If any message took off everything, a side that sends a byte now
 * and then and never reads would let memory grow as fast as bytes are sent to it.
 */
export class UnreadBytes {
  #bytes = 0;
  #lastMessageAtMs: number;

  constructor(nowMs: number) {
    this.#lastMessageAtMs = nowMs;
  }

  /** The estimate, including bytes that `add` has refused. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Counts bytes that are to be sent to the side. False: too many are unread, so they must not be sent. */
  add(bytes: number): boolean {
    this.#bytes += bytes;
    return this.#bytes <= LB_SOCKET_UNREAD_MAX_BYTES;
  }

  /** The side has sent a message of this size. */
  forgive(bytes: number, nowMs: number): void {
    const readBytes = ((nowMs - this.#lastMessageAtMs) / 1_000) * LB_SOCKET_READ_BYTES_PER_SECOND;
    this.#bytes = Math.max(0, this.#bytes - Math.max(bytes, readBytes));
    this.#lastMessageAtMs = nowMs;
  }
}
