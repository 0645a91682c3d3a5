// Finds members in the end of a JSON text whose beginning is not there: servers write small members behind large ones.
import { nextBracket, opens, skipValue } from "./text.ts";
import { parseJson } from "./value.ts";

/**
 * The values of the members of this name that are whole in the tail, the last one first. `depth`: how many containers
 * are around the member, 1 in the outermost object. `name` must have no characters with a meaning in a pattern.
 */
export function* valuesInTail(tail: string, name: string, depth: number): Generator<unknown, void> {
  // A quote after a backslash is within a string; any other quote before `name":` begins a key (openai/usage-chunk.ts).
  const member = new RegExp(`(?<!\\\\)"${name}"[ \\t\\r\\n]*:[ \\t\\r\\n]*`, "g");
  const starts = [...tail.matchAll(member)].map((match) => match.index + match[0].length).reverse();
  for (const from of starts) {
    const to = skipValue(tail, from);
    if (depthAt(tail, to) === depth) yield parseJson(tail.slice(from, to));
  }
}

/** How many containers are open at an index outside of strings: counted by the brackets from there to the end. */
function depthAt(text: string, from: number): number {
  let depth = 0;
  for (let at = nextBracket(text, from); at < text.length; at = nextBracket(text, at + 1))
    depth += opens(text.charCodeAt(at)) ? -1 : 1;
  return depth;
}
