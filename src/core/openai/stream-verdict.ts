// What the events of an OpenAI-like stream show of its end: an error that the server reports in the stream, and whether
// the stream is whole. HTTP shows neither: a server that fails after its first event can only stop.
import { type Fields, fieldsOf, parseJson } from "../json/value.ts";
import type { SseEvent } from "../sse/events.ts";
import { DONE } from "../sse/stream-parser.ts";
import { isError } from "./error.ts";

/**
 * An error that an event reports. `form`: `wrapped` in `data: {"error": …}`, where clients of every API find it; `typed`
 * as an event of the Responses API, where its clients do; or in another form, where no client does.
 */
export interface ReportedError {
  readonly error: unknown;
  readonly form: "wrapped" | "typed" | "other";
}

/** The events that end a stream of the Responses API; `response.done` is that of other servers with this API. */
export const RESPONSE_ENDS: ReadonlySet<unknown> = new Set([
  "response.completed",
  "response.incomplete",
  "response.failed",
  "response.cancelled",
  "response.done",
]);
/** The event that ends a stream of the Messages API. */
const MESSAGE_END = "message_stop";
/** What llama.cpp writes in place of `data:`. */
const ERROR_LINE = /^error:\s*/;

/** An API by whose rule a stream has a last event; null: none. */
type StreamApi = "completions" | "responses" | "messages" | null;

/** The API of a request's path, with its query or without. */
export function apiOf(path: string): StreamApi {
  const [, api = ""] = /^\/v1\/(chat\/completions|completions|responses|messages)(?:\?|$)/.exec(path) ?? [];
  if (api === "responses" || api === "messages") return api;
  return api === "" ? null : "completions";
}

/** Reads the events of one stream, in their order. */
export class StreamVerdict {
  #error: unknown;
  #isDone = false;
  #api: StreamApi;
  #hasLastEvent = false;
  /** Choices that have come, and whether each has its `finish_reason`. */
  readonly #choices = new Map<unknown, boolean>();

  /** `api`: that of the request; null: it follows from the events. */
  constructor(api: StreamApi) {
    this.#api = api;
  }

  /** The first error as `{"error": …}`; null: the stream reports none. */
  get error(): string | null {
    return this.#error === undefined ? null : JSON.stringify({ error: this.#error });
  }

  /** Is there an event by which the stream must end? */
  get hasEnd(): boolean {
    return this.#api !== null;
  }

  /**
   * Has the stream come to its end, by the rule of its API? A stream of completions is whole by `[DONE]` alone, since
   * some servers send no `finish_reason`. A stream of another kind is whole wherever it ends.
   */
  get isWhole(): boolean {
    if (this.#api === null || this.#hasLastEvent) return true;
    if (this.#api !== "completions") return false;
    return this.#isDone || (this.#choices.size > 0 && [...this.#choices.values()].every(Boolean));
  }

  /** Has `[DONE]` come? */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Takes one event, with its data as a value: undefined if it is no JSON. Returns the error that it reports. */
  see(event: Omit<SseEvent, "raw">, value: unknown): ReportedError | null {
    this.#isDone ||= event.data?.trim() === DONE;
    const fields = fieldsOf(value);
    if (fields !== null) this.#note(fields);
    const reported = errorIn(event, fields);
    this.#error ??= reported?.error;
    return reported;
  }

  #note(fields: Fields): void {
    const { type, choices } = fields;
    if (typeof type === "string") {
      if (type.startsWith("response.")) this.#api ??= "responses";
      if (type === "message_start") this.#api ??= "messages";
      this.#hasLastEvent ||= type === MESSAGE_END || RESPONSE_ENDS.has(type);
    }
    if (!Array.isArray(choices)) return;
    this.#api ??= "completions";
    // The chunk with the usage alone comes last, behind all choices.
    this.#hasLastEvent = choices.length === 0 && this.#choices.size > 0 && fieldsOf(fields.usage) !== null;
    for (const choice of choices.map(fieldsOf)) {
      if (choice === null) continue;
      const isFinished = typeof choice.finish_reason === "string" && choice.finish_reason !== "";
      this.#choices.set(choice.index, isFinished || this.#choices.get(choice.index) === true);
    }
  }
}

function errorIn({ name, data, unframed }: Omit<SseEvent, "raw">, fields: Fields | null): ReportedError | null {
  if (fields !== null) {
    if (isError(fields.error)) return { error: fields.error, form: "wrapped" };
    if (fields.type === "error") return { error: fields, form: "typed" };
    if (fields.type === "response.failed") {
      const error = fieldsOf(fields.response)?.error;
      return { error: isError(error) ? error : { message: "the response failed" }, form: "typed" };
    }
    // The form of older vLLM servers.
    if (fields.object === "error") return { error: fields, form: "other" };
    const ofChoice = errorOfChoice(fields.choices);
    if (ofChoice !== null) return ofChoice;
  }
  if (name === "error") return { error: fields ?? (data || "the server failed without a message"), form: "other" };
  return unframed.trim() === "" ? null : errorInUnframed(unframed.trim());
}

/** Gateways report an error of the server behind them in a choice, or by its `finish_reason` alone. */
function errorOfChoice(choices: unknown): ReportedError | null {
  const all = Array.isArray(choices) ? choices.map(fieldsOf) : [];
  const error = all.map((choice) => choice?.error).find(isError);
  if (error !== undefined) return { error, form: "other" };
  const isEnd = all.some((choice) => choice?.finish_reason === "error");
  return isEnd ? { error: { message: "the server failed in the middle of its answer" }, form: "other" } : null;
}

/** Text that is not of the format of events: an error if it is one as JSON, or is named so. */
function errorInUnframed(text: string): ReportedError | null {
  const named = text.replace(ERROR_LINE, "");
  const fields = fieldsOf(parseJson(named));
  const hasError = isError(fields?.error);
  const hasDetail = isError(fields?.detail) || Array.isArray(fields?.detail);
  if (named === text && !hasError && fields?.object !== "error" && !hasDetail) return null;
  return { error: hasError ? fields?.error : (fields ?? named), form: "other" };
}
