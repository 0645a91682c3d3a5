// An upstream's answer that streams: its chunks go to the job's log as they come, and together they are the output.
import type { Outcome } from "../contract/dispatch.ts";
import { CHUNK_MAX_BYTES } from "../core/limits.ts";
import { type StreamFormat, StreamParser } from "../core/stream-parser.ts";
import { PayloadSink, type SinkFailure } from "../payload/sink.ts";
import type { Attempt } from "./attempt.ts";
import { ChunkGatherer } from "./chunk-gatherer.ts";
import { type Answer, classifyRead } from "./classify.ts";

/** Reads the answer to its end; null when the lease was lost meanwhile. */
export async function runStream(attempt: Attempt, answer: Answer, format: StreamFormat): Promise<Outcome | null> {
  const intake = new StreamIntake(attempt);
  const parser = new StreamParser(format);
  const stop = async (outcome: Outcome | null): Promise<Outcome | null> => {
    await intake.abort();
    return outcome;
  };
  const end = async (): Promise<Outcome | null> => {
    const outcome = await intake.finish(answer, attempt);
    return outcome?.kind === "completed" ? outcome : await stop(outcome);
  };
  try {
    for await (const bytes of answer.body) {
      for (const part of parser.push(bytes)) {
        if (part.kind === "end") return await end();
        await intake.take(part.text);
      }
      const refusal = parser.heldChars > CHUNK_MAX_BYTES ? TOO_LARGE : intake.refusal(answer, attempt);
      if (refusal !== undefined) return await stop(refusal);
    }
    for (const part of parser.end()) if (part.kind === "chunk") await intake.take(part.text);
    return await end();
  } catch (error) {
    if (answer.broken() === "aborted") return await stop(null);
    const message = error instanceof Error ? error.message : String(error);
    return await stop(classifyRead({ kind: "read_failed", message }, answer, attempt.isOver()));
  }
}

const TOO_LARGE: Outcome = {
  kind: "rejected",
  error: `a streamed chunk is larger than ${CHUNK_MAX_BYTES / 1024} KiB`,
};

class StreamIntake {
  readonly #gatherer: ChunkGatherer;
  readonly #sink: PayloadSink;
  readonly #encoder = new TextEncoder();
  #chunks = 0;
  #failure: SinkFailure | null = null;
  #isTooLarge = false;

  constructor(attempt: Attempt) {
    this.#gatherer = new ChunkGatherer(attempt);
    this.#sink = new PayloadSink(attempt.resultOptions());
  }

  async take(text: string): Promise<void> {
    const chunk = this.#encoder.encode(text);
    this.#isTooLarge ||= chunk.length > CHUNK_MAX_BYTES;
    if (this.#isTooLarge || this.#failure !== null) return;
    await this.#gatherer.add(chunk);
    this.#failure ??= await this.#sink.write(this.#encoder.encode(this.#chunks === 0 ? "[" : ","));
    this.#failure ??= await this.#sink.write(chunk);
    this.#chunks += 1;
  }

  /** Why reading on is of no use; undefined: nothing is wrong, null: the lease is lost. */
  refusal(answer: Answer, attempt: Attempt): Outcome | null | undefined {
    if (this.#isTooLarge) return TOO_LARGE;
    if (this.#failure !== null) return classifyRead(this.#failure, answer, attempt.isOver());
    return this.#gatherer.isRefused ? null : undefined;
  }

  async finish(answer: Answer, attempt: Attempt): Promise<Outcome | null> {
    // Every chunk is in the log before the job ends: a reader must not miss the last ones.
    await this.#gatherer.flush();
    this.#failure ??= await this.#sink.write(this.#encoder.encode(this.#chunks === 0 ? "[]" : "]"));
    const refusal = this.refusal(answer, attempt);
    if (refusal !== undefined) return refusal;
    const output = await this.#sink.finish();
    if (output.kind === "inline" || output.kind === "r2") return { kind: "completed", output };
    return classifyRead(output, answer, attempt.isOver());
  }

  async abort(): Promise<void> {
    await this.#gatherer.flush();
    await this.#sink.abort();
  }
}
