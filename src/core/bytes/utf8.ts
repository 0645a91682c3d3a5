// Sizes of texts in UTF-8, by which rows, bodies and their bounds are counted.

/** The longest character that one unit of UTF-16 stands for, in bytes of UTF-8. */
const UNIT_MAX_BYTES = 3;
const ENCODER = new TextEncoder();

export function utf8Length(text: string): number {
  return ENCODER.encode(text).length;
}

/** The text, or as much of its beginning as fits, cut between two characters. */
export function cutToBytes(text: string, maxBytes: number): string {
  if (text.length * UNIT_MAX_BYTES <= maxBytes) return text;
  const { read } = ENCODER.encodeInto(text, new Uint8Array(maxBytes));
  return read === text.length ? text : text.slice(0, read);
}
