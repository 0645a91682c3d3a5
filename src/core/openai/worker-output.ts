// Reads what a worker has made of an OpenAI client's request. Servers and RunPod workers return many forms (docs/wire.md 2.2): an object,
// a list with one, a JSON text in a string, pieces of event text, or bytes as base64.
import { concatBytes } from "../bytes/concat.ts";
import { parseJson } from "../json/value.ts";
import { errorTextOfOutput, onlyValue, type openAiErrorOf, openAiErrorOfOutput } from "./error.ts";
import type { OpenAiRequest } from "./request.ts";
import { ShownEvents } from "./shown-events.ts";

type FinishedOutput =
  | { readonly kind: "error"; readonly error: ReturnType<typeof openAiErrorOf> }
  /** `type` may be no media type and `base64` no base64: a worker may choose these names for anything. */
  | { readonly kind: "bytes"; readonly type: string; readonly base64: string }
  | { readonly kind: "events"; readonly bytes: Uint8Array }
  | { readonly kind: "json"; readonly text: string }
  /** It is made to take the engine long (core/json/digits.ts). */
  | { readonly kind: "unreadable" }
  /** It is several values, or a plain text. */
  | { readonly kind: "several" };

/** A media type that is allowed in a header. */
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\x20-\x7e]+$/;

/** What the client of this request gets of the output of its job. `text`: the output's JSON text. */
export function readFinished(text: string, request: OpenAiRequest): FinishedOutput {
  const value = parseJson(text);
  if (value === undefined) return { kind: "unreadable" };
  // A job of an earlier release may be COMPLETED with an error.
  const error = errorTextOfOutput(text) === null ? null : openAiErrorOfOutput(onlyValue(value));
  if (error !== null) return { kind: "error", error };
  if (isBytes(value)) return { kind: "bytes", type: value.content_type, base64: value.body_base64 };
  if (request.stream) return { kind: "events", bytes: asEvents(value, request) };
  const json = asJson(value, text);
  return json === null ? { kind: "several" } : { kind: "json", text: json };
}

export function isMediaType(type: string): boolean {
  return MEDIA_TYPE.test(type);
}

/** The output as one JSON value; null for several values or plain text. Raw text is returned if it is the value. */
function asJson(value: unknown, raw: string): string | null {
  if (Array.isArray(value)) return value.length === 1 ? asJson(value[0], raw.trim().slice(1, -1)) : null;
  if (typeof value !== "string") return raw;
  return parseJson(value) === undefined ? null : value;
}

/** The output as events: of a stream, or of an answer that a worker gave in one piece though events are wanted. */
function asEvents(value: unknown, request: OpenAiRequest): Uint8Array {
  const pieces = Array.isArray(value) ? value : [value];
  const events = new ShownEvents(request);
  const text = concatBytes(pieces.map((piece) => eventOf(pieces.length === 1 ? toChunk(piece) : piece)));
  return concatBytes([...events.push(text), ...events.end(), ...events.close()]);
}

/** The form that the dialect `openai` gives to an answer that is not JSON. */
interface Bytes {
  readonly content_type: string;
  readonly body_base64: string;
}

function isBytes(value: unknown): value is Bytes {
  if (typeof value !== "object" || value === null) return false;
  if (!("body_base64" in value) || !("content_type" in value)) return false;
  return typeof value.body_base64 === "string" && typeof value.content_type === "string";
}

/** The event text of a piece that a worker yields: event text already, cut anywhere, or a value made into an event. */
export function eventOf(piece: unknown): Uint8Array {
  return new TextEncoder().encode(typeof piece === "string" ? piece : `data: ${JSON.stringify(piece)}\n\n`);
}

/** Turns a whole answer into the one chunk of a stream: its messages become deltas. Any other value is unchanged. */
function toChunk(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("choices" in value) || !Array.isArray(value.choices))
    return value;
  if (!("object" in value) || value.object !== "chat.completion") return value;
  const choices = value.choices.map((choice: unknown) => {
    if (typeof choice !== "object" || choice === null || !("message" in choice)) return choice;
    const { message, ...rest } = choice;
    return { ...rest, delta: message };
  });
  return { ...value, object: "chat.completion.chunk", choices };
}
