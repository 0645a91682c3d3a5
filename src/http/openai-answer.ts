// The answer to an OpenAI client while its job still runs: begun by whoever has the first bytes, and the news that the client
// has gone. A signal of the request tells that before the answer has begun; after that its stream does.
import { OPENAI_UNREAD_MAX_MS } from "../core/limits.ts";
import type { AnswerHead, ClientLink } from "../dispatch/client-link.ts";
import { rawAnswer } from "./answer.ts";
import type { RouteContext } from "./routing.ts";

export class ClientAnswer implements ClientLink {
  readonly #gone = new AbortController();
  readonly #begun = Promise.withResolvers<Response>();
  readonly #requestId: string;
  readonly #jobId: string;
  #writer: WritableStreamDefaultWriter<Uint8Array> | null = null;
  #isBroken = false;
  /** Of an answer that is not begun before it is whole. */
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

  /** The answer, once it has begun. */
  get begun(): Promise<Response> {
    return this.#begun.promise;
  }

  begin({ status, headers }: AnswerHead): void {
    if (this.#writer !== null) throw new Error("an answer begins once");
    const { readable, writable } = new IdentityTransformStream();
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(() => this.#gone.abort());
    this.#begun.resolve(rawAnswer(status, readable, this.#requestId, { "x-job-id": this.#jobId, ...headers }));
  }

  breakOff(): void {
    this.#isBroken = true;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const writer = this.#writer;
    if (writer !== null && !this.gone.aborted) await this.#taken(writer.write(bytes));
  }

  /** Ends the answer. `whole` false: the connection breaks, so that nobody takes a part for all of it. */
  async end(whole: boolean): Promise<void> {
    const writer = this.#writer;
    if (writer === null) return;
    if (whole && !this.#isBroken && !this.gone.aborted) await this.#taken(writer.close());
    else await this.#taken(writer.abort(new Error("the answer broke off")));
  }

  /** A client that left just as its answer began is told by neither signal nor stream: its bytes are not taken, and that is all. */
  async #taken(sent: Promise<void>): Promise<void> {
    const left = Promise.withResolvers<void>();
    const leave = () => {
      this.#gone.abort();
      left.resolve();
    };
    this.gone.addEventListener("abort", leave, { once: true });
    const timer = setTimeout(leave, OPENAI_UNREAD_MAX_MS);
    await Promise.race([sent.catch(leave), left.promise]);
    clearTimeout(timer);
    this.gone.removeEventListener("abort", leave);
  }
}
