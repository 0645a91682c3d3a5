// The last bytes of what comes in pieces, in bounded memory.
import { concatBytes } from "./concat.ts";

export class ByteTail {
  readonly #maxBytes: number;
  #pieces: Uint8Array[] = [];
  #heldBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(bytes: Uint8Array): void {
    // A copy, because the caller's view is valid only during this call, and would keep all of a large buffer alive.
    this.#pieces.push(bytes.slice(-this.#maxBytes));
    this.#heldBytes += Math.min(bytes.length, this.#maxBytes);
    // Joined only at twice the size, so that each small piece is copied once, not again for every later piece.
    if (this.#heldBytes < 2 * this.#maxBytes) return;
    this.#pieces = [this.bytes().slice()];
    this.#heldBytes = this.#maxBytes;
  }

  /** As many of the last bytes as are kept. */
  bytes(): Uint8Array {
    return concatBytes(this.#pieces).subarray(-this.#maxBytes);
  }
}
