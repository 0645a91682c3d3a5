// An event that is too large to be held. It passes on as its bytes come, and its beginning and end are kept, because
// servers write what they report (an error, the reason of the end, a usage) before or behind what is large.
import { concatBytes } from "../bytes/concat.ts";
import { ByteTail } from "../bytes/tail.ts";
import { OneValue } from "../json/one-value.ts";
import { valuesInTail } from "../json/tail.ts";
import { membersOf } from "../json/text.ts";
import { type Fields, fieldsOf, parseJson } from "../json/value.ts";
import { ERROR_TEXT_MAX_BYTES, OUTPUT_USAGE_TAIL_BYTES } from "../limits.ts";
import { fieldsOfEvent, type SseEvent } from "../sse/events.ts";
import { closeCut, withoutCutEscape } from "./cut-text.ts";

/** An error's text is kept up to this length, so more of its beginning would be cut again. */
const HEAD_BYTES = ERROR_TEXT_MAX_BYTES;
/** Stands for what lies between the beginning and the end. Outside of a string it makes a text that is no JSON. */
const GAP = "…";
/** The first digits of a number may be all that is left of it: as a usage they would be billed. */
const CUT_NUMBER = /[\d.eE+-]{1,64}$/;

/** `value`: that of the data, without its middle; undefined for data that is no JSON, also where its end is cut off. */
interface PartlyRead {
  readonly event: Omit<SseEvent, "raw">;
  readonly value: unknown;
}

export class PassedEvent {
  #head: Uint8Array = new Uint8Array(0);
  readonly #tail = new ByteTail(OUTPUT_USAGE_TAIL_BYTES);
  /** The frame around the data has no brackets and no quotes. */
  readonly #data = new OneValue();

  push(bytes: Uint8Array): void {
    this.#data.push(bytes);
    if (this.#head.length < HEAD_BYTES)
      this.#head = concatBytes([this.#head, bytes.subarray(0, HEAD_BYTES - this.#head.length)]);
    this.#tail.push(bytes);
  }

  /** To be called once the event has ended. */
  read(): PartlyRead {
    const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
    const { data, name, unframed } = fieldsOfEvent(decoder.decode(this.#head));
    // The end begins within a line; what large events have in their long lines is data, or JSON without a frame.
    const end = fieldsOfEvent(`data:${decoder.decode(this.#tail.bytes())}`);
    const event = { data, name: name ?? end.name, unframed };
    // Members are found in the end by the brackets behind them, which a text that breaks off lacks.
    if (!this.#data.isWhole) return { event, value: undefined };
    if (data !== null) return { event, value: readCut(data, end.data ?? "", event.name) };
    const value = readCut(unframed, [end.data, end.unframed].join("\n"), event.name);
    return { event: { ...event, unframed: value === undefined ? unframed : JSON.stringify(value) }, value: undefined };
  }
}

function readCut(head: string, tail: string, name: string | null): unknown {
  const start = withoutCutEscape(head);
  // Most often a single string is large, and then both parts are in it. The end may begin within an escape.
  const joined = parseJson(start + GAP + tail) ?? parseJson(start + GAP + tail.slice(1));
  if (joined !== undefined) return joined;
  const closed = closeCut(head.replace(CUT_NUMBER, "")).map((text) => fieldsOf(parseJson(text)));
  const fields = closed.find((found) => found !== null) ?? wholeMembers(head);
  if (fields === null) return undefined;
  const isWithinChoices = ![...membersOf(head, 0)].some((member) => member.name === "choices");
  return withTail(fields, tail, { name, isWithinChoices });
}

/** The members of an object that has too many open brackets for its text to be closed. */
function wholeMembers(head: string): Fields | null {
  const members = [...membersOf(head, 0)].map(({ name, from, to }) => [name, parseJson(head.slice(from, to))] as const);
  return members.length === 0 ? null : Object.fromEntries(members);
}

/** `name`: that of the event. `isWithinChoices`: the beginning ends before the end of its choices. */
interface CutAt {
  readonly name: string | null;
  readonly isWithinChoices: boolean;
}

/** Adds to the beginning's fields what the end shows. The name of an event stands for a type that is in neither. */
function withTail(fields: Fields, tail: string, { name, isWithinChoices }: CutAt): Fields {
  const last = (member: string, depth: number) => firstOf(valuesInTail(tail, member, depth));
  const response = fieldsOf(fields.response);
  const found: Record<string, unknown> = {
    type: fields.type ?? last("type", 1) ?? (name === "error" ? undefined : name),
    error: last("error", 1) ?? fields.error,
    usage: last("usage", 1) ?? fields.usage,
    choices: isWithinChoices
      ? (finished(fields.choices, last("finish_reason", 3)) ?? last("choices", 1))
      : fields.choices,
    ...(response === null ? {} : { response: responseWith(response, last("error", 2), last("usage", 2)) }),
  };
  return { ...fields, ...found };
}

function responseWith(response: Fields, error: unknown, usage: unknown): Fields {
  return { ...response, error: error ?? response.error, usage: usage ?? response.usage };
}

/** The choices with the reason of the last one's end, behind whose beginning the text was cut. */
function finished(choices: unknown, reason: unknown): unknown {
  if (!Array.isArray(choices) || reason === undefined) return choices;
  const last = fieldsOf(choices.at(-1));
  return last === null ? choices : [...choices.slice(0, -1), { ...last, finish_reason: last.finish_reason ?? reason }];
}

function firstOf(values: Iterable<unknown>): unknown {
  for (const value of values) return value;
  return undefined;
}
