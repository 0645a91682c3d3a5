// A line that a person types next, as it has to be typed.
import { PROGRAM } from "./program.ts";
import { shellWord } from "./project/shell-word.ts";
import type { Place } from "./where.ts";

/** For the broker that this command was told to call, where it was told so by an option. */
export function typedLine(words: readonly string[], { broker, state, "persist-to": former }: Place): string {
  const named = Object.entries({ broker, state: state ?? former }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value],
  );
  return [PROGRAM, ...[...words, ...named].map(shellWord)].join(" ");
}
