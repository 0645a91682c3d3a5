// Reads token usage, and an error, from the raw JSON of a job's output while its bytes pass: from an OpenAI body, a list
// with one, or strings with such a body or with pieces of an event stream (RunPod's vLLM worker yields those). It takes
// constant memory. Of any other output it reads only the first 2 KiB, and keeps up to 1 MiB where it may be an error.
import { concatBytes } from "../bytes/concat.ts";
import { JsonStringBytes } from "../json/string-bytes.ts";
import { type Fields, fieldsOf, parseJson } from "../json/value.ts";
import { CHUNK_MAX_BYTES, OUTPUT_USAGE_HEAD_BYTES } from "../limits.ts";
import { type SseEvent, SseSplitter } from "../sse/events.ts";
import { ERROR_NAMED_MAX_CHARS, ERROR_OUTPUT_MAX_CHARS, errorTextOfOutput, mayBeError } from "./error.ts";
import { PassedEvent } from "./passed-event.ts";
import { StreamVerdict } from "./stream-verdict.ts";
import { StreamUsage, type TokenUsage } from "./token-usage.ts";
import { UsageTail } from "./usage-tail.ts";

/** One way to read an output. */
interface UsageReader {
  /** False once the following bytes cannot change the result any more, so that they need not be read. */
  readonly isLooking: boolean;
  push(bytes: Uint8Array): void;
  /** To be called once all bytes have come; null: there is no usage. `promptBytes` serves for an estimate. */
  usage(promptBytes: number): TokenUsage | null;
  /** To be called after `usage`: an error that an event of the output reports, as `{"error": …}`; null: none does. */
  readonly error: string | null;
}

/** The reader for a text that begins with `head`; null: none; undefined: more text is needed, unless `isAll`. */
type Choice = (head: string, isAll: boolean) => UsageReader | null | undefined;

/** A member that OpenAI's bodies have near their start. */
const BODY_SIGN = /"(?:object|choices|usage|model)"\s*:/;
const EVENT_START = /^\s*(?:data|event|id|retry)?:/;
/** The length of the longest field name (`event`, `retry`) with its colon. */
const EVENT_START_MAX_CHARS = 6;

/** Chooses a reader by the first bytes, and then passes all bytes to it. */
class ChoosingReader implements UsageReader {
  readonly #choose: Choice;
  #head: Uint8Array = new Uint8Array(0);
  #chosen: UsageReader | null | undefined;

  constructor(choose: Choice) {
    this.#choose = choose;
  }

  get isLooking(): boolean {
    return this.#chosen === undefined || (this.#chosen?.isLooking ?? false);
  }

  push(bytes: Uint8Array): void {
    if (this.#chosen !== undefined) this.#chosen?.push(bytes);
    else this.#decide(this.#head.length === 0 ? bytes : concatBytes([this.#head, bytes]), false);
  }

  usage(promptBytes: number): TokenUsage | null {
    if (this.#chosen === undefined) this.#decide(this.#head, true);
    return this.#chosen?.usage(promptBytes) ?? null;
  }

  get error(): string | null {
    return this.#chosen?.error ?? null;
  }

  #decide(head: Uint8Array, isAll: boolean): void {
    const isEnough = isAll || head.length >= OUTPUT_USAGE_HEAD_BYTES;
    const text = new TextDecoder().decode(head.subarray(0, OUTPUT_USAGE_HEAD_BYTES));
    const chosen = this.#choose(text, isEnough);
    this.#chosen = chosen === undefined && isEnough ? null : chosen;
    // A copy, because the caller's view is valid only during this call. It is under 2 KiB: more would be enough.
    this.#head = this.#chosen === undefined ? head.slice() : new Uint8Array(0);
    this.#chosen?.push(head);
  }
}

/** What a job's output shows to its bill and its status. */
interface OutputFacts {
  /** An OpenAI body without usage, such as an error, gives null; a stream gives an estimate. */
  readonly tokens: TokenUsage | null;
  /** The error that stands in place of a result, as `{"error": …}`. */
  readonly error: string | null;
}

/** Reads one output. */
export class OutputTap {
  readonly #reader = new ChoosingReader((head) =>
    /^\s*(?:\[\s*)?"/.test(head) ? new StringsReader() : chooseBody(head),
  );
  /** All of the output so far, while it may be an error. */
  #start: Uint8Array[] = [];
  #bytes = 0;
  /** Null: more of its beginning is needed. */
  #mayBeError: boolean | null = null;

  /** False once further bytes cannot change the usage. */
  get isLooking(): boolean {
    return this.#reader.isLooking;
  }

  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
    if (this.#mayBeError === false) return;
    // A copy, because the caller's view is valid only during this call.
    this.#start.push(bytes.slice());
    this.#bytes += bytes.length;
    if (this.#bytes > ERROR_OUTPUT_MAX_CHARS) this.#mayBeError = false;
    else if (this.#bytes >= ERROR_NAMED_MAX_CHARS) this.#mayBeError ??= mayBeError(this.#text());
    if (this.#mayBeError === false) this.#start = [];
  }

  /** To be called once all bytes have come. `promptBytes` serves for an estimate. */
  facts(promptBytes: number): OutputFacts {
    const tokens = this.#reader.usage(promptBytes);
    return { tokens, error: this.#reader.error ?? errorTextOfOutput(this.#text()) };
  }

  #text(): string {
    return new TextDecoder().decode(concatBytes(this.#start));
  }
}

function chooseBody(head: string): UsageReader | null | undefined {
  if (/^\s*(?:\[\s*)?$/.test(head)) return undefined;
  const start = /^\s*(\[\s*)?\{/.exec(head);
  if (start === null) return null;
  return BODY_SIGN.test(head) ? new UsageTail(start[1] === undefined ? 1 : 2) : undefined;
}

/** The text of one string, or of many that are pieces of one text. */
class StringsReader implements UsageReader {
  readonly #strings = new JsonStringBytes();
  readonly #text = new ChoosingReader((head, isAll) => {
    if (EVENT_START.test(head)) return new EventsReader();
    const mayBeEvents = !isAll && /^\s*[a-z]*$/.test(head) && head.trimStart().length < EVENT_START_MAX_CHARS;
    return mayBeEvents ? undefined : chooseBody(head);
  });

  get isLooking(): boolean {
    return this.#text.isLooking;
  }

  push(bytes: Uint8Array): void {
    if (this.isLooking) this.#text.push(this.#strings.push(bytes));
  }

  usage(promptBytes: number): TokenUsage | null {
    return this.#text.usage(promptBytes);
  }

  get error(): string | null {
    return this.#text.error;
  }
}

class EventsReader implements UsageReader {
  #splitter: SseSplitter | null = new SseSplitter();
  readonly #usage = new StreamUsage();
  readonly #verdict = new StreamVerdict(null);
  #isOpenAi = false;
  /** The unfinished event, once it is too large to be held. */
  #passed: PassedEvent | null = null;

  get isLooking(): boolean {
    return this.#splitter !== null;
  }

  get error(): string | null {
    return this.#verdict.error;
  }

  push(bytes: Uint8Array): void {
    for (const event of this.#splitter?.push(bytes) ?? []) this.#take(event);
    // The held bytes must stay few.
    if (this.#splitter === null || this.#splitter.heldBytes <= CHUNK_MAX_BYTES) return;
    this.#passed ??= new PassedEvent();
    this.#passed.push(this.#splitter.takeHeld());
  }

  usage(promptBytes: number): TokenUsage | null {
    // A stream may have broken off, or a worker may trim its last piece: the sent part of the last event counts.
    for (const event of this.#splitter?.end() ?? []) this.#take(event);
    return this.#isOpenAi ? this.#usage.total(promptBytes, this.#verdict.isWhole) : null;
  }

  #take(event: SseEvent): void {
    const passed = this.#passed;
    this.#passed = null;
    passed?.push(event.raw);
    const read = passed?.read() ?? { event, value: event.data === null ? undefined : parseJson(event.data) };
    // A large event that is no JSON does not show what the output is.
    if (passed === null || this.#isOpenAi || fieldsOf(read.value) !== null) this.#see(read.event, read.value);
  }

  #see(event: Omit<SseEvent, "raw">, value: unknown): void {
    if (this.#splitter === null) return;
    const isError = this.#verdict.see(event, value) !== null;
    if (isError || event.data === null || event.data === "") return;
    const fields = fieldsOf(value);
    if (!this.#isOpenAi && (fields === null || !looksLikeOpenAi(fields))) this.#splitter = null;
    else {
      this.#isOpenAi = true;
      this.#usage.see(fields);
    }
  }
}

function looksLikeOpenAi(event: Fields): boolean {
  return Array.isArray(event.choices) || typeof event.object === "string" || typeof event.type === "string";
}
