// A streamed answer of an OpenAI server on its way to the client: it is passed on event by event, the tokens are
// counted, and the usage chunk is left out if the client did not ask for it.
import type { Outcome } from "../contract/dispatch.ts";
import { concatBytes } from "../core/bytes/concat.ts";
import { failed, runpodText } from "../core/job/failure.ts";
import { ANSWER_TOOK_TOO_LONG, toError } from "../core/job/openai-error.ts";
import { OPENAI_EVENT_HELD_MAX_BYTES } from "../core/openai/limits.ts";
import { errorEvent, ShownEvents } from "../core/openai/shown-events.ts";
import { StreamUsage } from "../core/openai/token-usage.ts";
import type { Attempt } from "./attempt.ts";
import { type Answer, attemptFailed, classifyRead } from "./classify.ts";
import { passOn } from "./openai-answer.ts";
import type { OpenAiCall } from "./openai-call.ts";
import { StreamIntake } from "./stream-intake.ts";

/** `sizeBytes`: the size of the prompt, for an estimate of its tokens. */
type Asked = Pick<OpenAiCall, "target" | "hidesUsage" | "sizeBytes">;

/** Reads the answer to its end; null when the lease was lost meanwhile. */
export function runEvents(attempt: Attempt, answer: Answer, asked: Asked): Promise<Outcome | null> {
  return new EventRelay(attempt, answer, asked).run();
}

const TOOK_TOO_LONG = failed("execution_timeout", ANSWER_TOOK_TOO_LONG);

class EventRelay {
  readonly #attempt: Attempt;
  readonly #answer: Answer;
  readonly #asked: Asked;
  readonly #intake: StreamIntake;
  readonly #shown: ShownEvents;
  readonly #usage = new StreamUsage();
  readonly #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  #events = 0;

  constructor(attempt: Attempt, answer: Answer, asked: Asked) {
    this.#attempt = attempt;
    // The tokens of this answer are counted here, event by event.
    attempt.tap = null;
    this.#answer = answer;
    this.#asked = asked;
    this.#intake = new StreamIntake(attempt, answer);
    this.#shown = new ShownEvents({ path: asked.target, hidesUsage: asked.hidesUsage }, (value) => this.#see(value));
  }

  async run(): Promise<Outcome | null> {
    try {
      for await (const bytes of this.#answer.body) {
        await this.#send(this.#shown.push(bytes));
        // Bytes after the last event do not belong to the stream.
        if (this.#shown.isDone) break;
        if (this.#shown.heldBytes > OPENAI_EVENT_HELD_MAX_BYTES) await this.#send([this.#shown.takeHeld()]);
        const refusal = this.#intake.refusal();
        if (refusal !== undefined) return await this.#stop(refusal);
      }
      return await this.#finish();
    } catch (error) {
      const failure = { kind: "read_failed", message: String(error) } as const;
      return await this.#stop(classifyRead(failure, this.#answer, this.#attempt.isOver()));
    }
  }

  /** Ends the attempt after a stream that has ended as HTTP demands: by its own rules it may still be cut short. */
  async #finish(): Promise<Outcome | null> {
    const last = this.#shown.end();
    const { verdict } = this.#shown;
    if (this.#events === 0)
      return await this.#stop(attemptFailed("bad_answer", "the upstream's stream ended before its first event"));
    await this.#send(last);
    if (verdict.error === null && !verdict.isWhole)
      return await this.#stop(attemptFailed("bad_answer", "the upstream's stream ended before its last event"));
    await this.#send(this.#shown.close());
    const outcome = await this.#intake.finish(this.#tokens());
    if (outcome?.kind !== "completed") return await this.#stop(outcome);
    if (verdict.error === null) return outcome;
    const failure = failed("handler_error", verdict.error);
    return { kind: "handler_error", failure, output: outcome.output, tokens: this.#tokens() };
  }

  /** Ends the stream early. If its client has had a part of it, it cannot be tried again. */
  async #stop(outcome: Outcome | null): Promise<Outcome | null> {
    await this.#intake.stop(outcome);
    const { client } = this.#attempt;
    if (client === null) return outcome;
    if (client.gone.aborted) return { kind: "abandoned", tokens: this.#tokens() };
    if (outcome === null || !client.hasBegun) return outcome;
    const failure = "failure" in outcome ? outcome.failure : TOOK_TOO_LONG;
    // The message as RunPod's clients would read it: it contains the upstream's answer with its status.
    const { error } = toError(502, runpodText(failure, 0), "broke_off");
    await client.write(errorEvent(this.#asked.target, error, this.#shown.isWithinEvent));
    // The end by the tenant's own time limit is billed, as for any other job.
    return outcome.kind === "timed_out" ? outcome : { kind: "cut_short", failure };
  }

  #tokens() {
    return this.#usage.total(this.#asked.sizeBytes, this.#shown.verdict.isWhole);
  }

  #see(value: unknown): void {
    this.#events += 1;
    this.#usage.see(value);
  }

  async #send(pieces: readonly Uint8Array[]): Promise<void> {
    const [first] = pieces;
    if (first === undefined) return;
    const bytes = pieces.length === 1 ? first : concatBytes(pieces);
    await passOn(this.#attempt, this.#answer, bytes);
    // A large event comes in parts, which may be cut within a character.
    await this.#intake.take(JSON.stringify(this.#decoder.decode(bytes, { stream: true })));
  }
}
