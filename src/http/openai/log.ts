// Turns the chunks of a job's log into events for its OpenAI client: workers yield event text cut anywhere, or values.
import type { JobView } from "../../contract/job-view.ts";
import type { StreamPage } from "../../contract/stream.ts";
import { concatBytes } from "../../core/bytes/concat.ts";
import { hasResult, isWaiting } from "../../core/job/job.ts";
import { ATTEMPT_LOST, errorInAnswer, type OpenAiError } from "../../core/job/openai-error.ts";
import { OPENAI_EVENT_HELD_MAX_BYTES } from "../../core/openai/limits.ts";
import type { OpenAiRequest } from "../../core/openai/request.ts";
import { ShownEvents } from "../../core/openai/shown-events.ts";
import type { ClientAnswer } from "./answer.ts";
import { ChunkEvents } from "./sse.ts";

const HEAD = { status: 200, headers: { "content-type": "text/event-stream; charset=utf-8" } };

/** The answer to one client, made of the chunks of its job's log. */
export class LoggedEvents {
  readonly #request: OpenAiRequest;
  readonly #client: ClientAnswer;
  #events: ShownEvents;
  #texts = new ChunkEvents();
  #attempt = 0;

  constructor(request: OpenAiRequest, client: ClientAnswer) {
    this.#request = request;
    this.#client = client;
    this.#events = new ShownEvents(request);
  }

  /**
   * Passes the page's chunks on. Returns the reason if the client can get no more, else null. `ATTEMPT_LOST`: the
   * attempt whose chunks the client has had is over, and the job is not.
   */
  async take(page: StreamPage): Promise<OpenAiError | null> {
    let shown: Uint8Array[] = [];
    for (const chunk of page.chunks) {
      if (chunk.attempt !== this.#attempt) {
        if (this.#client.hasBegun) return ATTEMPT_LOST;
        shown = [];
        this.#events = new ShownEvents(this.#request);
        this.#texts = new ChunkEvents();
        this.#attempt = chunk.attempt;
      }
      shown.push(...this.#events.push(this.#texts.eventOf(chunk)));
      if (this.#events.heldBytes > OPENAI_EVENT_HELD_MAX_BYTES) shown.push(this.#events.takeHeld());
    }
    const isLost = page.attempt !== this.#attempt || isWaiting(page.status);
    // Chunks of a lost attempt are not sent unless the answer has begun: the next attempt sends everything anew.
    if (this.#client.hasBegun || !isLost) await this.#send(shown);
    if (this.#client.hasBegun && isLost) return ATTEMPT_LOST;
    return null;
  }

  /** To be called when the job is over and all its chunks were taken. */
  async finish(job: JobView): Promise<void> {
    // The half event that a lost worker has left is dropped.
    if (hasResult(job.status)) await this.#send([...this.#events.end(), ...this.#events.close()]);
    else if (this.#events.verdict.error === null) return await this.#client.fail(errorInAnswer(job));
    await this.#client.end(true);
  }

  async #send(events: readonly Uint8Array[]): Promise<void> {
    if (events.length === 0) return;
    if (!this.#client.hasBegun) this.#client.begin(HEAD);
    await this.#client.write(concatBytes(events));
  }
}
