// How many bytes one side of a WebSocket may have been sent and not read. The platform neither holds back a sender nor reports what
// was read, so this is estimated from the messages that the side itself sends.
import { LB_SOCKET_READ_BYTES_PER_SECOND, LB_SOCKET_UNREAD_MAX_BYTES } from "../limits.ts";

/**
 * A message from a side shows that the side is alive, but not how much it has read. It takes off what a side reads in the time
 * since its last message or, where that is more, the message's own size, because a side that answers large messages by large
 * ones reads them. Were everything taken off by any message, a side that sends a byte now and then and never reads would let
 * memory grow as fast as bytes are sent to it.
 */
export class UnreadBytes {
  #bytes = 0;
  #lastMessageAtMs: number;

  constructor(nowMs: number) {
    this.#lastMessageAtMs = nowMs;
  }

  /** The estimate, with the bytes that were refused last. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Counts bytes that are to be sent to the side. False: they are too many to be sent. */
  add(bytes: number): boolean {
    this.#bytes += bytes;
    return this.#bytes <= LB_SOCKET_UNREAD_MAX_BYTES;
  }

  /** The side has sent a message of so many bytes. */
  forgive(bytes: number, nowMs: number): void {
    const readBytes = ((nowMs - this.#lastMessageAtMs) / 1_000) * LB_SOCKET_READ_BYTES_PER_SECOND;
    this.#bytes = Math.max(0, this.#bytes - Math.max(bytes, readBytes));
    this.#lastMessageAtMs = nowMs;
  }
}
