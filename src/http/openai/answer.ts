// The answer to an OpenAI client while its job still runs: whichever code has the first events begins it, and it
// notices when the client has gone. Before the answer has begun a signal of the request fires then, if the connection
// breaks; afterwards a write to the stream fails, so a comment is written whenever a stream of events pauses, and in
// place of a first event that does not come. Every reader of events ignores comments; other answers, such as speech,
// have no place for bytes of ours.

import type { OpenAiError } from "../../core/job/openai-error.ts";
import { fieldsOf, parseJson } from "../../core/json/value.ts";
import { OPENAI_COMMENT_EVERY_MS, OPENAI_SILENT_MAX_MS } from "../../core/openai/limits.ts";
import { isEventsType, type OpenAiRequest } from "../../core/openai/request.ts";
import { errorEvent, streamsEvents } from "../../core/openai/shown-events.ts";
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
/** Two line ends of two characters. */
const TAIL_LENGTH = 4;
/** A line end and another one. A CR before an LF is half of one. */
const BLANK_LINE_END = /(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)$/;
/** Servers send the id of an event before its data, so only the beginning of a large one is searched for it. */
const ID_WITHIN_BYTES = 64 * 1024;

/** The head of a stream that begins before its server has answered. */
const EARLY_HEAD: AnswerHead = { status: 200, headers: { "content-type": "text/event-stream; charset=utf-8" } };
const NO_EVENTS = { message: "the worker's answer is no stream of events", type: "server_error", param: null };

/** The answer to one client. */
export class ClientAnswer implements ClientLink {
  readonly #gone = new AbortController();
  readonly #begun = Promise.withResolvers<Response>();
  readonly #requestId: string;
  readonly #jobId: string;
  readonly #path: string;
  #writer: WritableStreamDefaultWriter<Uint8Array> | null = null;
  /** Set until the answer begins, if its client waits for a stream of events. */
  #silence: ReturnType<typeof setTimeout> | undefined;
  #takesComments = false;
  /** An event had an id, which readers keep for the ones behind it. */
  #hasIds = false;
  /** The last characters of all that was written: the two line ends after an event may come apart. */
  #tail = "";
  #isBroken = false;
  #hasBegun = false;
  #hasEnded = false;
  /** The server's answer is no stream of events, and a stream of events has begun. */
  #isUnfit = false;
  #pause: ReturnType<typeof setTimeout> | undefined;
  /** The head for an answer that begins only when it is whole. */
  head: AnswerHead | null = null;

  /** A client that waits for a stream of events gets a comment if the first one takes long. */
  constructor(c: RouteContext, jobId: string, request: OpenAiRequest) {
    this.#requestId = c.get("requestId");
    this.#jobId = jobId;
    this.#path = request.path;
    if (streamsEvents(request)) this.#silence = setTimeout(() => this.#breakSilence(), OPENAI_SILENT_MAX_MS);
    const { signal } = c.req.raw;
    if (signal.aborted) this.#gone.abort();
    else signal.addEventListener("abort", () => this.#gone.abort(), { once: true });
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** A part of the server's answer has gone out. A comment is none: another attempt may still send its events behind it. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Resolves with the answer once its head goes out. */
  get begun(): Promise<Response> {
    return this.#begun.promise;
  }

  begin(head: AnswerHead): void {
    if (this.#hasBegun) throw new Error("an answer begins once");
    this.#hasBegun = true;
    if (this.#writer === null) this.#open(head);
    else this.#isUnfit = !isEventsType(head.headers["content-type"] ?? "");
  }

  /**
   * Answers with a response that was made for a client without an answer. Null: it went out behind the head of a stream
   * that has begun early, an error as its last event.
   */
  async conclude(response: Response): Promise<Response | null> {
    clearTimeout(this.#silence ?? null);
    if (this.#writer === null) return response;
    const isEvents = response.ok && isEventsType(response.headers.get("content-type") ?? "");
    if (isEvents) for await (const bytes of response.body ?? []) await this.write(bytes);
    else await this.#send(errorEvent(this.#path, response.ok ? NO_EVENTS : errorOf(await response.text())));
    await this.end(true);
    return null;
  }

  breakOff(): void {
    this.#isBroken = true;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isUnfit) return;
    this.#hasIds ||= ID_LINE.test(new TextDecoder().decode(bytes.subarray(0, ID_WITHIN_BYTES)));
    this.#tail = (this.#tail + new TextDecoder().decode(bytes.subarray(-TAIL_LENGTH))).slice(-TAIL_LENGTH);
    await this.#send(bytes);
  }

  /** Ends the answer. If `whole` is false the connection breaks, so that nobody takes a part for the whole answer. */
  async end(whole: boolean): Promise<void> {
    clearTimeout(this.#silence ?? null);
    const writer = this.#writer;
    if (writer === null) return;
    this.#hasEnded = true;
    clearTimeout(this.#pause ?? null);
    if (this.#isUnfit) await this.#send(errorEvent(this.#path, NO_EVENTS));
    await (whole && !this.#isBroken ? writer.close() : writer.abort(new Error("the answer broke off"))).catch(
      () => undefined,
    );
  }

  /**
   * Ends an answer that has begun by an error: as its last event, or by breaking the connection where it has no events.
   * A stream that has begun early and got an answer that is no stream of events ends with NO_EVENTS, as at any other end.
   */
  async fail({ error }: Pick<OpenAiError, "error">): Promise<void> {
    if (this.#takesComments && !this.#isUnfit) {
      await this.#send(errorEvent(this.#path, error, !this.#isBetweenEvents()));
    }
    await this.end(this.#takesComments);
  }

  #open({ status, headers }: AnswerHead): void {
    clearTimeout(this.#silence ?? null);
    const { readable, writable } = new IdentityTransformStream();
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(() => this.#gone.abort());
    this.#takesComments = isEventsType(headers["content-type"] ?? "");
    this.#awaitPause();
    this.#begun.resolve(rawAnswer(status, readable, this.#requestId, { "x-job-id": this.#jobId, ...headers }));
  }

  #breakSilence(): void {
    if (this.gone.aborted) return;
    this.#open(EARLY_HEAD);
    void this.#send(COMMENT);
  }

  async #send(bytes: Uint8Array): Promise<void> {
    clearTimeout(this.#pause ?? null);
    await this.#writer?.write(bytes).catch(() => this.#gone.abort());
    this.#awaitPause();
  }

  /** A comment within an event that is sent in parts would become a part of its data. */
  #isBetweenEvents(): boolean {
    return this.#tail === "" || BLANK_LINE_END.test(this.#tail);
  }

  #comment(): Uint8Array {
    return this.#hasIds ? COMMENT_AFTER_ID : COMMENT;
  }

  #awaitPause(): void {
    if (!this.#takesComments || this.#hasEnded || this.gone.aborted || !this.#isBetweenEvents()) return;
    clearTimeout(this.#pause ?? null);
    this.#pause = setTimeout(() => this.#send(this.#comment()), OPENAI_COMMENT_EVERY_MS);
  }
}

/** The error in the body of an answer of ours. */
function errorOf(body: string): object {
  return fieldsOf(fieldsOf(parseJson(body))?.error) ?? NO_EVENTS;
}
