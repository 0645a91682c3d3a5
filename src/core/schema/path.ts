// A place in an input or in a schema, and its text, which is a JSON pointer with a name before it: `input/images/0`, `#/properties/a`.
import { SHOWN_MAX_CHARS } from "./limits.ts";

/** From the inside out. Most places are never told, so that no text is made of them. */
export interface Path {
  readonly up: Path | null;
  readonly name: string | number;
}

export function atName(up: Path, name: string | number): Path {
  return { up, name };
}

/** The text of a place, with the beginning and the end of a long one. */
export function pointerOf(path: Path, maxChars = 2 * SHOWN_MAX_CHARS): string {
  const parts: string[] = [];
  for (let at: Path | null = path; at !== null; at = at.up) parts.push(shownName(at.name));
  const text = parts.reverse().join("/");
  return text.length <= maxChars ? text : `${text.slice(0, maxChars / 2)}…${text.slice(-maxChars / 2)}`;
}

/** The text of a place of a schema within a message. */
export function placeText(path: Path): string {
  return pointerOf(path, SHOWN_MAX_CHARS);
}

/** A name may be as long as an input: what is cut off is not escaped before. */
function shownName(name: string | number): string {
  return shorten(
    String(name)
      .slice(0, SHOWN_MAX_CHARS + 1)
      .replaceAll("~", "~0")
      .replaceAll("/", "~1"),
  );
}

/** A text for a message. */
export function shorten(text: string): string {
  return text.length <= SHOWN_MAX_CHARS ? text : `${text.slice(0, SHOWN_MAX_CHARS)}…`;
}
