// Takes the chunks of a streamed answer: each goes to the job's log, if there is one, and together they are the output.
import type { Outcome } from "../contract/dispatch.ts";
import { CHUNK_MAX_BYTES } from "../core/limits.ts";
import type { TokenUsage } from "../core/openai/token-usage.ts";
import { PayloadSink, type SinkFailure } from "../payload/sink.ts";
import type { Attempt } from "./attempt.ts";
import { ChunkGatherer } from "./chunk-gatherer.ts";
import { type Answer, classifyRead, rejected } from "./classify.ts";

/** A chunk that is too large for a row of the log. */
export const CHUNK_TOO_LARGE = rejected(
  "answer_too_large",
  `a streamed chunk is larger than ${CHUNK_MAX_BYTES / 1024} KiB`,
);

export class StreamIntake {
  readonly #attempt: Attempt;
  readonly #answer: Answer;
  readonly #gatherer: ChunkGatherer | null;
  readonly #sink: PayloadSink;
  readonly #encoder = new TextEncoder();
  #chunks = 0;
  #failure: SinkFailure | null = null;
  #isTooLarge = false;

  /** A client that carries its own job gets the chunks directly, and nobody else would read a log of them. */
  constructor(attempt: Attempt, answer: Answer) {
    this.#attempt = attempt;
    this.#answer = answer;
    this.#gatherer = attempt.client === null ? new ChunkGatherer(attempt) : null;
    this.#sink = new PayloadSink(attempt.resultOptions());
  }

  /** Takes one chunk: JSON text. */
  async take(text: string): Promise<void> {
    const chunk = this.#encoder.encode(text);
    this.#isTooLarge ||= chunk.length > CHUNK_MAX_BYTES;
    if (this.#isTooLarge || this.#failure !== null) return;
    await this.#gatherer?.add(chunk);
    this.#failure ??= await this.#sink.write(this.#encoder.encode(this.#chunks === 0 ? "[" : ","));
    this.#failure ??= await this.#sink.write(chunk);
    this.#chunks += 1;
  }

  /** Why reading on is of no use; undefined: nothing is wrong, null: the lease is lost. */
  refusal(): Outcome | null | undefined {
    if (this.#isTooLarge) return CHUNK_TOO_LARGE;
    if (this.#failure !== null) return classifyRead(this.#failure, this.#answer, this.#attempt.isOver());
    return this.#gatherer?.isRefused === true ? null : undefined;
  }

  async finish(tokens: TokenUsage | null = null): Promise<Outcome | null> {
    // Every chunk must be in the log before the job ends, so that a reader does not miss the last ones.
    await this.#gatherer?.flush();
    this.#failure ??= await this.#sink.write(this.#encoder.encode(this.#chunks === 0 ? "[]" : "]"));
    const refusal = this.refusal();
    if (refusal !== undefined) return await this.stop(refusal);
    const output = await this.#sink.finish();
    if (output.kind === "inline" || output.kind === "r2") return { kind: "completed", output, tokens };
    return await this.stop(classifyRead(output, this.#answer, this.#attempt.isOver()));
  }

  /** Ends the intake without an output, and returns the outcome that it was given. */
  async stop(outcome: Outcome | null): Promise<Outcome | null> {
    await this.#gatherer?.flush();
    await this.#sink.abort();
    return outcome;
  }
}
