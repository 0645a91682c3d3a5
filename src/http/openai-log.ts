// The chunks of a job's log as the events of its OpenAI client: what workers yield is event text cut anywhere, or values.
import type { JobView } from "../contract/job-view.ts";
import type { StreamPage } from "../contract/stream.ts";
import { concatBytes } from "../core/bytes.ts";
import type { OpenAiRequest } from "../core/openai-request.ts";
import { SseSplitter } from "../core/sse-events.ts";
import { isUsageChunk, withoutNullUsage } from "../core/usage-chunk.ts";
import { parseJson } from "../dispatch/classify.ts";
import type { ClientLink } from "../dispatch/client-link.ts";
import type { ClientAnswer } from "./openai-answer.ts";
import { errorOfText } from "./openai-errors.ts";
import { DONE_EVENT, endsByDone, eventOf } from "./openai-sse.ts";

const HEAD = { status: 200, headers: { "content-type": "text/event-stream; charset=utf-8" } };

export class LoggedEvents {
  readonly #request: OpenAiRequest;
  readonly #client: ClientAnswer;
  readonly #splitter = new SseSplitter();
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  #attempt = 0;
  #isDone = false;

  constructor(request: OpenAiRequest, client: ClientAnswer) {
    this.#request = request;
    this.#client = client;
  }

  /** Hands on what the page brings. False: it belongs to another attempt than what the client has seen. */
  async take(page: StreamPage): Promise<boolean> {
    const shown: Uint8Array[] = [];
    for (const { bytes, attempt } of page.chunks) {
      if (this.#client.hasBegun && attempt !== this.#attempt) {
        await this.#fail("the worker was lost in the middle of its answer", "broke_off");
        return false;
      }
      this.#attempt = attempt;
      const text = eventOf(parseJson(this.#decoder.decode(bytes)));
      for (const event of this.#splitter.push(this.#encoder.encode(text))) {
        const seen = this.#look(event.raw, event.data);
        if (seen !== null) shown.push(seen);
      }
    }
    if (shown.length > 0) await this.#send(this.#client, concatBytes(shown));
    return true;
  }

  /** The job is over, and all its chunks were taken. */
  async finish(job: JobView): Promise<void> {
    const rest = this.#splitter.rest();
    // Half an event that a lost worker has left is none.
    if (rest.length > 0 && job.status === "COMPLETED") {
      await this.#send(this.#client, concatBytes([rest, this.#encoder.encode("\n\n")]));
    }
    if (job.status !== "COMPLETED") {
      const { error } = errorOfText(job.error ?? `the job is ${job.status}`);
      await this.#fail(error.message, error.code ?? "server_error");
    } else if (!this.#isDone && endsByDone(this.#request.path)) {
      await this.#send(this.#client, this.#encoder.encode(DONE_EVENT));
    }
    await this.#client.end(true);
  }

  #look(raw: Uint8Array, data: string | null): Uint8Array | null {
    if (data === null) return raw;
    if (data.trim() === "[DONE]") this.#isDone = true;
    if (!this.#request.hidesUsage) return raw;
    if (isUsageChunk(parseJson(data))) return null;
    return this.#encoder.encode(withoutNullUsage(this.#decoder.decode(raw)));
  }

  async #send(client: ClientLink, bytes: Uint8Array): Promise<void> {
    if (!client.hasBegun) client.begin(HEAD);
    await client.write(bytes);
  }

  async #fail(message: string, code: string | number): Promise<void> {
    const error = { message, type: "server_error", param: null, code };
    await this.#send(this.#client, this.#encoder.encode(`data: ${JSON.stringify({ error })}\n\n`));
  }
}
