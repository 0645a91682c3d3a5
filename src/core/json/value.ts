// JSON from servers and workers, whose shape nobody promises: each field is checked where it is read.

/** An object's fields, not yet known to be anything. */
export type Fields = Readonly<Record<string, unknown>>;

/** The value of a JSON text; undefined, which no JSON is, for any other text. */
export function parseJson(text: string): unknown {
  try {
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
  // The cast says nothing but that it is an object: of its fields the type promises none.
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : null;
}
