// The answer to an OpenAI client while its job still runs: whichever code has the first events begins it, and it
// notices when the client has gone. Before the answer has begun a signal of the request fires then; afterwards only a
// write to the stream fails, so a comment is written whenever a stream of events pauses. Every reader of events ignores
// comments; other answers, such as speech, have no place for bytes of ours.
import { OPENAI_COMMENT_EVERY_MS } from "../../core/limits.ts";
import { isEventsType } from "../../core/openai/request.ts";
import type { AnswerHead, ClientLink } from "../../dispatch/client-link.ts";
import { rawAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";

const COMMENT = new TextEncoder().encode(": \n\n");
/**
 * The comment for streams whose events have ids: OpenAI's Python client takes each blank line after an id for the end
 * of an event, and an empty event ends its stream with an error. Readers of other streams may need the blank line.
 */
const COMMENT_AFTER_ID = COMMENT.subarray(0, -1);
const ID_LINE = /^id:/m;

export class ClientAnswer implements ClientLink {
  readonly #gone = new AbortController();
  readonly #begun = Promise.withResolvers<Response>();
  readonly #requestId: string;
  readonly #jobId: string;
  #writer: WritableStreamDefaultWriter<Uint8Array> | null = null;
  #takesComments = false;
  /** The bytes that were written last. */
  #events: Uint8Array = new Uint8Array(0);
  #isBroken = false;
  #hasEnded = false;
  #pause: ReturnType<typeof setTimeout> | undefined;
  /** The head for an answer that begins only when it is whole. */
  head: AnswerHead | null = null;

  constructor(c: RouteContext, jobId: string) {
    this.#requestId = c.get("requestId");
    this.#jobId = jobId;
    const { signal } = c.req.raw;
    if (signal.aborted) this.#gone.abort();
    else signal.addEventListener("abort", () => this.#gone.abort(), { once: true });
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  get hasBegun(): boolean {
    return this.#writer !== null;
  }

  /** Resolves with the answer once it has begun. */
  get begun(): Promise<Response> {
    return this.#begun.promise;
  }

  begin({ status, headers }: AnswerHead): void {
    if (this.#writer !== null) throw new Error("an answer begins once");
    const { readable, writable } = new IdentityTransformStream();
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(() => this.#gone.abort());
    this.#takesComments = isEventsType(headers["content-type"] ?? "");
    this.#awaitPause();
    this.#begun.resolve(rawAnswer(status, readable, this.#requestId, { "x-job-id": this.#jobId, ...headers }));
  }

  breakOff(): void {
    this.#isBroken = true;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#events = bytes;
    await this.#send(bytes);
  }

  /** Ends the answer. If `whole` is false the connection breaks, so that nobody takes a part for the whole answer. */
  async end(whole: boolean): Promise<void> {
    const writer = this.#writer;
    if (writer === null) return;
    this.#hasEnded = true;
    clearTimeout(this.#pause ?? null);
    await (whole && !this.#isBroken ? writer.close() : writer.abort(new Error("the answer broke off"))).catch(
      () => undefined,
    );
  }

  async #send(bytes: Uint8Array): Promise<void> {
    clearTimeout(this.#pause ?? null);
    await this.#writer?.write(bytes).catch(() => this.#gone.abort());
    this.#awaitPause();
  }

  #comment(): Uint8Array {
    return ID_LINE.test(new TextDecoder().decode(this.#events)) ? COMMENT_AFTER_ID : COMMENT;
  }

  #awaitPause(): void {
    if (!this.#takesComments || this.#hasEnded || this.gone.aborted) return;
    clearTimeout(this.#pause ?? null);
    this.#pause = setTimeout(() => this.#send(this.#comment()), OPENAI_COMMENT_EVERY_MS);
  }
}
