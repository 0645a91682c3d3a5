// Finds the command of a table that was typed, and gives the word behind it to the option that may be typed without its name.
import type { Command } from "./commands/command.ts";
import type { Typed } from "./read-options.ts";
import { WrongUse } from "./wrong-use.ts";

/** The command, and its options with the one that was typed without its name. Throws a sentence where there is no such command. */
export function findCommand(
  commands: readonly Command[],
  { words, given }: Typed,
): { readonly command: Command; readonly given: Typed["given"] } {
  const { command, rest } = longestMatch(commands, words);
  return { command, given: withPositional(command, rest, given) };
}

interface Found {
  readonly command: Command;
  /** The words behind those of the command. */
  readonly rest: readonly string[];
}

/** Of the commands whose words were typed the one with the most of them: `job` and `job list` may both be one. */
function longestMatch(commands: readonly Command[], words: readonly string[]): Found {
  for (let count = words.length; count > 0; count -= 1) {
    const typed = words.slice(0, count).join(" ");
    const command = commands.find((each) => each.words === typed || each.formerWords === typed);
    if (command === undefined) continue;
    const rest = words.slice(count);
    if (rest.length === 0 || command.positional !== undefined) return { command, rest };
  }
  throw new WrongUse(unknownCommand(commands, words));
}

function unknownCommand(commands: readonly Command[], words: readonly string[]): string {
  const [first = ""] = words;
  const near = commands.filter(({ words: known }) => known.split(" ")[0] === first);
  const there = (near.length === 0 ? commands : near).map(({ words: known }) => known).join(", ");
  return `there is no command "${words.join(" ")}"; there ${near.length === 1 ? "is" : "are"} ${there}`;
}

/** The word behind the command is the value of the option that may be typed without its name. */
function withPositional(
  { words, positional }: Command,
  rest: readonly string[],
  given: Typed["given"],
): Typed["given"] {
  const [value, ...more] = rest;
  if (positional === undefined || value === undefined) return given;
  const named = given[positional];
  const all = [value, ...more, ...(typeof named === "string" ? [named] : [])];
  if (all.length > 1) throw new WrongUse(`${words} takes one ${positional}, not ${all.join(" and ")}`);
  return { ...given, [positional]: value };
}
