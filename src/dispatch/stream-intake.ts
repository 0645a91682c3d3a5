// Takes the chunks of a streamed answer: each goes to the job's log, if there is one, and together they are the output.
import type { Outcome } from "../contract/dispatch.ts";
import { ChunkCutter } from "../core/job/chunk-cutter.ts";
import { CHUNK_MAX_BYTES } from "../core/limits.ts";
import type { TokenUsage } from "../core/openai/token-usage.ts";
import { PayloadSink, type SinkFailure } from "../payload/sink.ts";
import type { Attempt } from "./attempt.ts";
import { ChunkGatherer } from "./chunk-gatherer.ts";
import { type Answer, classifyRead } from "./classify.ts";

export class StreamIntake {
  readonly #attempt: Attempt;
  readonly #answer: Answer;
  readonly #gatherer: ChunkGatherer | null;
  readonly #sink: PayloadSink;
  readonly #encoder = new TextEncoder();
  #hasChunks = false;
  /** Cuts the present chunk for the log; null between two chunks. */
  #cutter: ChunkCutter | null = null;
  #isInChunk = false;
  #failure: SinkFailure | null = null;

  /** A client that carries its own job gets the chunks directly, and nobody else would read a log of them. */
  constructor(attempt: Attempt, answer: Answer) {
    this.#attempt = attempt;
    this.#answer = answer;
    this.#gatherer = attempt.client === null ? new ChunkGatherer(attempt) : null;
    this.#sink = new PayloadSink(attempt.resultOptions());
  }

  /** Takes one chunk: JSON text. In the log it becomes several where it is too large for one; the output has it whole. */
  take(text: string): Promise<void> {
    return this.takePiece(this.#encoder.encode(text), true);
  }

  /** Takes the next bytes of one chunk. */
  async takePiece(json: Uint8Array, isLast: boolean): Promise<void> {
    if (this.#failure !== null) return;
    if (this.#gatherer !== null) await this.#log(this.#gatherer, json, isLast);
    if (!this.#isInChunk) this.#failure ??= await this.#sink.write(this.#encoder.encode(this.#hasChunks ? "," : "["));
    this.#failure ??= await this.#sink.write(json);
    this.#hasChunks = true;
    this.#isInChunk = !isLast;
  }

  async #log(gatherer: ChunkGatherer, json: Uint8Array, isLast: boolean): Promise<void> {
    const isWhole = isLast && this.#cutter === null && json.length <= CHUNK_MAX_BYTES;
    if (isWhole) return await gatherer.add({ bytes: json });
    const cutter = this.#cutter ?? new ChunkCutter(CHUNK_MAX_BYTES);
    for (const chunk of cutter.push(json)) await gatherer.add(chunk);
    this.#cutter = isLast ? null : cutter;
    if (isLast) await gatherer.add(cutter.end());
  }

  /** Why reading on is of no use; undefined: nothing is wrong, null: the lease is lost. */
  refusal(): Outcome | null | undefined {
    if (this.#failure !== null) return classifyRead(this.#failure, this.#answer, this.#attempt.isOver());
    return this.#gatherer?.isRefused === true ? null : undefined;
  }

  async finish(tokens: TokenUsage | null = null): Promise<Outcome | null> {
    // Every chunk must be in the log before the job ends, so that a reader does not miss the last ones.
    await this.#gatherer?.flush();
    this.#failure ??= await this.#sink.write(this.#encoder.encode(this.#hasChunks ? "]" : "[]"));
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
