// JSON from servers and workers, of whose shape nothing is guaranteed: each field is checked where it is read.
import { isSlowToRead } from "./digits.ts";

/** An object's fields, whose values are not checked yet. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * The value of a JSON text; undefined, which no JSON is, for any other text, and for one that is made to take the engine seconds. Whoever
 * has written the text may be hostile, and an isolate does nothing else meanwhile.
 */
export function parseJson(text: string): unknown {
  try {
    if (isSlowToRead(text)) return undefined;
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The text in a field of an object; "" where there is none. */
export function textOf(value: unknown, name: string): string {
  const text = fieldsOf(value)?.[name];
  return typeof text === "string" ? text : "";
}

/** The fields of an object that a parser made; null for every other value, lists too. */
export function fieldsOf(value: unknown): Fields | null {
  // The cast states only that the value is an object: the type promises no field.
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : null;
}
