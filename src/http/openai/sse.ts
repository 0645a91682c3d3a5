// Makes event text for OpenAI clients of what workers yield: pieces of event text cut anywhere, or values.

/** The event text of a piece that a worker yields: event text already, cut anywhere, or a value made into an event. */
export function eventOf(piece: unknown): Uint8Array {
  return new TextEncoder().encode(typeof piece === "string" ? piece : `data: ${JSON.stringify(piece)}\n\n`);
}

/** Turns a whole answer into the one chunk of a stream: its messages become deltas. Any other value is unchanged. */
export function toChunk(value: unknown): unknown {
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
