// The events of a streamed OpenAI answer that its client gets: whole ones, without usage that it did not ask for, and
// with each error in the form that OpenAI's clients read.
import { concatBytes } from "../bytes/concat.ts";
import { parseJson } from "../json/value.ts";
import { type SseEvent, SseSplitter } from "../sse/events.ts";
import { DONE } from "../sse/stream-parser.ts";
import { openAiErrorOf } from "./error.ts";
import { PassedEvent } from "./passed-event.ts";
import type { OpenAiRequest } from "./request.ts";
import { apiOf, type ReportedError, StreamVerdict } from "./stream-verdict.ts";
import { isUsageChunk, withoutNullUsage } from "./usage-chunk.ts";

const ENCODER = new TextEncoder();
const EVENT_END = ENCODER.encode("\n\n");
const DONE_EVENT = ENCODER.encode(`data: ${DONE}\n\n`);

/** Has a stream of this path a usage chunk on request, and `[DONE]` at its end? Others end with their own event. */
export function isCompletions(path: string): boolean {
  return apiOf(path) === "completions";
}

/** Does a client of this request read its answer as events, and ignore comments between them? */
export function streamsEvents({ path, stream }: Pick<OpenAiRequest, "path" | "stream">): boolean {
  return stream && apiOf(path) !== null;
}

/** The events of one answer on their way to the client. */
export class ShownEvents {
  readonly verdict: StreamVerdict;
  readonly #path: string;
  readonly #hidesUsage: boolean;
  readonly #see: (value: unknown) => void;
  readonly #splitter = new SseSplitter();
  readonly #decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  /** An event with data has come. */
  #hasBegun = false;
  /** The unfinished event, once a part of it was handed out. */
  #passed: PassedEvent | null = null;

  /** `see` is given the value of each event, hidden ones too; undefined for data that is no JSON. */
  constructor(
    { path, hidesUsage }: { readonly path: string; readonly hidesUsage: boolean },
    see: (value: unknown) => void = () => undefined,
  ) {
    this.verdict = new StreamVerdict(apiOf(path));
    this.#path = path;
    this.#hidesUsage = hidesUsage;
    this.#see = see;
  }

  /** `[DONE]` has come: all that follows it is dropped. */
  get isDone(): boolean {
    return this.verdict.isDone;
  }

  /** Bytes of the unfinished event. Nothing here bounds them, so the caller must. */
  get heldBytes(): number {
    return this.#splitter.heldBytes;
  }

  /** The events that end within these bytes; an event that came in one piece is a view of it. */
  push(bytes: Uint8Array): Uint8Array[] {
    return this.#show(this.#splitter.push(bytes));
  }

  /** Does what was handed out end within an event? */
  get isWithinEvent(): boolean {
    return this.#passed !== null;
  }

  /** What is held of an event that is too large to be held whole. It is read at its end, without its middle. */
  takeHeld(): Uint8Array {
    const held = this.#splitter.takeHeld();
    this.#hasBegun = true;
    this.#passed ??= new PassedEvent();
    this.#passed.push(held);
    return held;
  }

  /** The last event, if no blank line has ended it: of a stream that has a last event only where its data is whole. */
  end(): Uint8Array[] {
    const left = this.#splitter.end();
    const isCut = left.some(({ data }) => data !== null && data.trim() !== DONE && parseJson(data) === undefined);
    return isCut && this.verdict.hasEnd ? [] : this.#show(left);
  }

  /** The `[DONE]` that closes a stream of completions, if the worker has not sent it. After an error there is none. */
  close(): Uint8Array[] {
    return !this.isDone && this.verdict.error === null && isCompletions(this.#path) ? [DONE_EVENT] : [];
  }

  #show(events: readonly SseEvent[]): Uint8Array[] {
    const shown: Uint8Array[] = [];
    for (const event of events) {
      if (this.isDone) break;
      const seen = this.#passed === null ? this.#look(event) : this.#endPassed(this.#passed, event.raw);
      if (seen !== null) shown.push(seen);
    }
    return shown;
  }

  /** `raw`: the rest of the event, which nothing hides: its client has the part before. */
  #endPassed(passed: PassedEvent, raw: Uint8Array): Uint8Array {
    this.#passed = null;
    passed.push(raw);
    const { event, value } = passed.read();
    const reported = this.verdict.see(event, value);
    this.#see(value);
    return reported === null || this.#isReadable(reported.form) ? raw : concatBytes([raw, this.#readable(reported)]);
  }

  #look(event: SseEvent): Uint8Array | null {
    const { raw, data } = event;
    const value = data === null ? undefined : parseJson(data);
    const reported = this.verdict.see(event, value);
    if (data !== null || reported !== null) this.#see(value);
    if (reported !== null && !this.#isReadable(reported.form)) {
      const shown = this.#readable(reported);
      return this.isDone ? concatBytes([shown, DONE_EVENT]) : shown;
    }
    // Before the first event a comment would begin the answer, and no other attempt could send it then.
    if (data === null && !this.#hasBegun) return null;
    this.#hasBegun = true;
    // Behind it no client would read the error of a stream without its last event.
    if (this.isDone && !this.verdict.isWhole && this.verdict.error === null) return null;
    if (data === null || !this.#hidesUsage || reported !== null) return raw;
    if (isUsageChunk(value)) return null;
    const text = this.#decoder.decode(raw);
    const kept = withoutNullUsage(text);
    return kept === text ? raw : ENCODER.encode(kept);
  }

  #readable({ error }: ReportedError): Uint8Array {
    return errorEvent(this.#path, openAiErrorOf(JSON.stringify({ error })).error);
  }

  /** Do clients of this path find an error of this form? */
  #isReadable(form: ReportedError["form"]): boolean {
    return form === "wrapped" || (form === "typed" && !isCompletions(this.#path));
  }
}

/**
 * The event by which the clients of a path learn of an error. Those of the Messages API read events by their names.
 * `endsEvent`: the client has had a part of another event, which must end first: the error would be a part of its data.
 */
export function errorEvent(path: string, error: object, endsEvent = false): Uint8Array {
  const isMessages = apiOf(path) === "messages";
  const text = isMessages
    ? `event: error\ndata: ${JSON.stringify({ type: "error", error })}\n\n`
    : `data: ${JSON.stringify({ error })}\n\n`;
  const event = ENCODER.encode(text);
  return endsEvent ? concatBytes([EVENT_END, event]) : event;
}
