// The tokens that an OpenAI-like answer reports as its cost: read from a body, or gathered from the events of a stream,
// whose final figure may never come, because the client hung up or the server does not send one.
import { type Fields, fieldsOf } from "../json/value.ts";
import { RESPONSE_ENDS } from "./stream-verdict.ts";

/** Tokens in and out. `estimated`: the server's final figures never came. */
export interface TokenUsage {
  readonly prompt: number;
  readonly completion: number;
  readonly estimated: boolean;
}

/** The figures that a server has sent so far; null: it has not sent this one. */
interface ReportedTokens {
  readonly prompt: number | null;
  readonly completion: number | null;
}

/** English text has about four bytes a token and most other text fewer, so that an estimate rarely charges too much. */
const BYTES_PER_TOKEN = 4;
const NOTHING_REPORTED: ReportedTokens = { prompt: null, completion: null };

/**
 * The `usage` of a whole answer: chat, completions, embeddings, responses, messages, audio, images. Null when it has none
 * or none in tokens (audio may be counted in seconds).
 */
export function usageOfBody(value: unknown): TokenUsage | null {
  const reported = reportedIn(fieldsOf(value)?.usage);
  if (reported === null) return null;
  return { prompt: reported.prompt ?? 0, completion: reported.completion ?? 0, estimated: false };
}

/** The estimated number of tokens of a text with this many bytes. */
export function estimateTokens(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_TOKEN);
}

/** Gathers the usage of one stream from its events. */
export class StreamUsage {
  #newest = NOTHING_REPORTED;
  /** Deltas since the newest usage, which includes those of earlier events and of its own. */
  #deltas = 0;
  #allDeltas = 0;
  #isFinal = false;

  /** Whether the server's final figures have come. */
  get isFinal(): boolean {
    return this.#isFinal;
  }

  /** One parsed data object, in the stream's order; a value that is not an object (`[DONE]`) is ignored. */
  see(event: unknown): void {
    const fields = fieldsOf(event);
    if (fields === null) return;
    const deltas = deltasIn(fields);
    this.#deltas += deltas;
    this.#allDeltas += deltas;
    const reported =
      reportedIn(fields.usage) ??
      reportedIn(fieldsOf(fields.response)?.usage) ??
      reportedIn(fieldsOf(fields.message)?.usage);
    if (reported === null) return;
    // The messages API sends the prompt's cost at the start, and the answer's cost at the end.
    const { prompt, completion } = this.#newest;
    this.#newest = { prompt: reported.prompt ?? prompt, completion: reported.completion ?? completion };
    if (reported.completion !== null) this.#deltas = 0;
    if (endsUsage(fields)) this.#isFinal = true;
  }

  /**
   * The final usage, or the best estimate: running figures, then one token a delta and the size of the prompt. The newest
   * figures of a stream that is whole are final where no delta has come after them, wherever they stood.
   */
  total(promptBytes: number, isWhole = false): TokenUsage {
    const { prompt, completion } = this.#newest;
    // Some servers send a usage of zeros with each event.
    const isReal = completion !== 0 || this.#allDeltas === 0;
    const isFinal = isReal && (this.#isFinal || (isWhole && completion !== null && this.#deltas === 0));
    return {
      prompt: prompt ?? estimateTokens(promptBytes),
      completion:
        isFinal && completion !== null ? completion : (completion ?? 0) + (isReal ? this.#deltas : this.#allDeltas),
      estimated: !isFinal || prompt === null,
    };
  }
}

/** Whether the usage of this event is the final one of the stream. */
function endsUsage(fields: Fields): boolean {
  if (fieldsOf(fields.response) !== null) return RESPONSE_ENDS.has(fields.type);
  if (fieldsOf(fields.message) !== null) return false;
  // With continuous usage every chunk of a choice has a usage; the final one comes in a chunk without choices.
  return !Array.isArray(fields.choices) || fields.choices.length === 0;
}

function deltasIn(fields: Fields): number {
  if (Array.isArray(fields.choices)) return fields.choices.filter(hasTokens).length;
  const { type } = fields;
  return typeof type === "string" && (type.endsWith(".delta") || type === "content_block_delta") ? 1 : 0;
}

function hasTokens(choice: unknown): boolean {
  const fields = fieldsOf(choice);
  if (fields === null) return false;
  const delta = fieldsOf(fields.delta);
  // Servers name what they generate in many ways: content, reasoning, refusal, tool_calls. A role is none of it.
  const generated = Object.entries(delta ?? {}).filter(([name]) => name !== "role");
  return isFilled(fields.text) || generated.some(([, value]) => isFilled(value));
}

function isFilled(value: unknown): boolean {
  if (typeof value === "string" || Array.isArray(value)) return value.length > 0;
  return Object.keys(fieldsOf(value) ?? {}).length > 0;
}

/** A `usage` object under any of the names that servers use; null when it has no count of tokens. */
function reportedIn(usage: unknown): ReportedTokens | null {
  const fields = fieldsOf(usage);
  if (fields === null) return null;
  const completion = tokens(fields.completion_tokens) ?? tokens(fields.output_tokens);
  const total = tokens(fields.total_tokens);
  const prompt = tokens(fields.prompt_tokens) ?? tokens(fields.input_tokens);
  if (prompt === null && completion === null && total === null) return null;
  // Rerankers and some embedding servers give the total alone.
  const rest = total === null ? null : Math.max(0, total - (completion ?? 0));
  return { prompt: prompt ?? rest, completion };
}

/** A count that may be billed, so only a safe integer that is not negative is accepted. */
function tokens(value: unknown): number | null {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null;
}
