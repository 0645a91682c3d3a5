// A streamed answer of an OpenAI server on its way to the client: event by event as they come, with the tokens counted, and
// without the usage chunk that the client did not ask for.
import type { Outcome } from "../contract/dispatch.ts";
import { concatBytes } from "../core/bytes.ts";
import { CHUNK_MAX_BYTES } from "../core/limits.ts";
import { SseSplitter } from "../core/sse-events.ts";
import { StreamUsage } from "../core/token-usage.ts";
import { isUsageChunk, withoutNullUsage } from "../core/usage-chunk.ts";
import type { Attempt } from "./attempt.ts";
import { type Answer, attemptFailed, classifyRead, parseJson } from "./classify.ts";
import { pickHeaders } from "./openai-headers.ts";
import { CHUNK_TOO_LARGE, StreamIntake } from "./stream-intake.ts";

const DONE = "[DONE]";
const DONE_EVENT = new TextEncoder().encode(`data: ${DONE}\n\n`);
/** Routes whose streams end by `[DONE]`; other ones end by an event of their own. */
const ENDS_BY_DONE = /^\/v1\/(?:chat\/)?completions(?:\?|$)/;

interface Asked {
  readonly target: string;
  readonly hidesUsage: boolean;
  /** Of the prompt, for an estimate of its tokens. */
  readonly promptBytes: number;
}

/** Reads the answer to its end; null when the lease was lost meanwhile. */
export async function runEvents(attempt: Attempt, answer: Answer, asked: Asked): Promise<Outcome | null> {
  const relay = new EventRelay(attempt, answer, asked);
  try {
    for await (const bytes of answer.body) {
      await relay.take(bytes);
      if (relay.isDone) break;
      const refusal = relay.refusal();
      if (refusal !== undefined) return await relay.stop(refusal);
    }
    return await relay.finish();
  } catch (error) {
    if (answer.body.broken === "aborted") return await relay.stop(null);
    const message = error instanceof Error ? error.message : String(error);
    return await relay.stop(classifyRead({ kind: "read_failed", message }, answer, attempt.isOver()));
  }
}

class EventRelay {
  readonly #attempt: Attempt;
  readonly #answer: Answer;
  readonly #asked: Asked;
  readonly #intake: StreamIntake;
  readonly #splitter = new SseSplitter();
  readonly #usage = new StreamUsage();
  readonly #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  #events = 0;
  #error: string | null = null;
  isDone = false;

  constructor(attempt: Attempt, answer: Answer, asked: Asked) {
    this.#attempt = attempt;
    // Its tokens are counted here, event by event.
    attempt.tap = null;
    this.#answer = answer;
    this.#asked = asked;
    this.#intake = new StreamIntake(attempt);
  }

  async take(bytes: Uint8Array): Promise<void> {
    const shown: Uint8Array[] = [];
    for (const { raw, data } of this.#splitter.push(bytes)) {
      const seen = data === null ? raw : this.#look(raw, data);
      if (seen !== null) shown.push(seen);
      if (this.isDone) break;
    }
    await this.#send(shown);
  }

  refusal(): Outcome | null | undefined {
    if (this.#splitter.heldBytes > CHUNK_MAX_BYTES) return CHUNK_TOO_LARGE;
    return this.#intake.refusal(this.#answer, this.#attempt);
  }

  /** The stream has ended as it should, or at least cleanly. */
  async finish(): Promise<Outcome | null> {
    const rest = this.#splitter.rest();
    if (!this.isDone && rest.length > 0) await this.take(new TextEncoder().encode("\n\n"));
    if (this.#events === 0) return await this.stop(attemptFailed("the upstream's stream ended before its first event"));
    if (!this.isDone && ENDS_BY_DONE.test(this.#asked.target)) await this.#send([DONE_EVENT]);
    const outcome = await this.#intake.finish(this.#answer, this.#attempt, this.#tokens());
    if (outcome?.kind !== "completed") return await this.stop(outcome);
    if (this.#error === null) return outcome;
    return { kind: "handler_error", error: this.#error, output: outcome.output, tokens: this.#tokens() };
  }

  /** Ends it early. What a client has had a part of cannot be tried again. */
  async stop(outcome: Outcome | null): Promise<Outcome | null> {
    await this.#intake.abort();
    const { client } = this.#attempt;
    if (client === null) return outcome;
    if (client.gone.aborted) return { kind: "abandoned", tokens: this.#tokens() };
    if (outcome === null || !client.hasBegun) return outcome;
    const error = "error" in outcome ? outcome.error : "the answer took longer than the endpoint lets it";
    const event = { error: { message: error, type: "server_error", param: null, code: "broke_off" } };
    await client.write(new TextEncoder().encode(`data: ${JSON.stringify(event)}\n\n`));
    // The tenant's own limit is billed, as for any other job.
    return outcome.kind === "timed_out" ? outcome : { kind: "cut_short", error };
  }

  #tokens() {
    return this.#usage.total(this.#asked.promptBytes);
  }

  /** What the client is to see of an event; null: nothing. */
  #look(raw: Uint8Array, data: string): Uint8Array | null {
    this.#events += 1;
    if (data.trim() === DONE) {
      this.isDone = true;
      return raw;
    }
    const value = parseJson(data);
    this.#usage.see(value);
    if (typeof value === "object" && value !== null && "error" in value && value.error !== null) {
      this.#error = JSON.stringify({ error: value.error });
    }
    if (!this.#asked.hidesUsage) return raw;
    if (isUsageChunk(value)) return null;
    const text = this.#decoder.decode(raw);
    const kept = withoutNullUsage(text);
    return kept === text ? raw : new TextEncoder().encode(kept);
  }

  async #send(pieces: readonly Uint8Array[]): Promise<void> {
    const [first] = pieces;
    if (first === undefined) return;
    const bytes = pieces.length === 1 ? first : concatBytes(pieces);
    const { client } = this.#attempt;
    if (client !== null) {
      if (!client.hasBegun) client.begin({ status: this.#answer.status, headers: pickHeaders(this.#answer.headers) });
      await client.write(bytes);
    }
    await this.#intake.take(JSON.stringify(this.#decoder.decode(bytes)));
  }
}
