// Sends the chunks of a pushed stream to the broker, several in one call, because each call becomes one row there.
import type { Frame, ValuePart } from "../core/job/chunk-frames.ts";
import { CHUNK_MAX_BYTES, GATHER_BYTES, GATHER_MS, LEASE_MS } from "../core/limits.ts";
import type { Attempt } from "./attempt.ts";
import { repeatCall } from "./repeat-call.ts";

export class ChunkGatherer {
  readonly #attempt: Attempt;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #nextSeq = 1;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sending: Promise<void> = Promise.resolve();
  /** The broker takes no more chunks: the lease is lost, or the stream is too long. */
  isRefused = false;

  constructor(attempt: Attempt) {
    this.#attempt = attempt;
  }

  /** Resolves when there is room for another chunk: a slow broker slows the upstream and does not fill our memory. */
  async add({ bytes, part }: Frame): Promise<void> {
    const isPart = part !== undefined;
    // One call marks all of its chunks alike, so a piece of a cut value goes alone: most of them fill a call anyway.
    if (isPart || this.#pendingBytes + bytes.length > CHUNK_MAX_BYTES) await this.flush();
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (isPart || this.#pendingBytes >= GATHER_BYTES) await this.flush(part);
    else this.#timer ??= setTimeout(() => void this.flush(), GATHER_MS);
  }

  /** Sends the chunks gathered so far, each with this mark. Resolves when the broker has all of them; never throws. */
  flush(part?: ValuePart): Promise<void> {
    clearTimeout(this.#timer ?? null);
    this.#timer = undefined;
    const chunks = this.#pending;
    const firstSeq = this.#nextSeq;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#nextSeq += chunks.length;
    if (chunks.length > 0) this.#sending = this.#sending.then(() => this.#send(firstSeq, chunks, part));
    return this.#sending;
  }

  async #send(firstSeq: number, chunks: readonly Uint8Array[], part?: ValuePart): Promise<void> {
    if (this.isRefused) return;
    const { deps, assignment, signal } = this.#attempt;
    const { jobId, lease } = assignment;
    const call = () => deps.leaseApi().appendChunks({ jobId, lease, firstSeq, chunks, part });
    try {
      this.isRefused = !(await repeatCall(call, { clock: deps.clock, forMs: LEASE_MS, signal }));
    } catch {
      // A stream with a missing chunk would be worse than an attempt that ends.
      this.isRefused = true;
    }
  }
}
