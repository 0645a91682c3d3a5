// The command line as a whole: finds the command that was typed in the table, and runs it or prints its help.
import type { Command, OptionSpecs } from "./commands/command.ts";
import { helpOfAll, helpOfOne } from "./help.ts";
import { refuseSwallowed } from "./npm-words.ts";
import { IS_PROJECT, PROGRAM } from "./program.ts";
import { readArguments, type Typed } from "./read-options.ts";
import { COMMON_OPTIONS, FORMER_OPTIONS, runCommand } from "./run-command.ts";
import { endWith, WrongUse } from "./wrong-use.ts";

/** A program that is a single command of the table, such as `npm run worker:env`. */
interface Single {
  /** The command's words, which are not typed. */
  readonly words: string;
  /** What is typed in their place. */
  readonly typed: string;
}

/** Runs what the process was started with, and sets its exit code. */
export async function runProgram(commands: readonly Command[], single?: Single): Promise<void> {
  const args = process.argv.slice(2);
  try {
    await run(commands, args, single);
  } catch (error) {
    endWith(error, args.includes("--json"));
  }
}

async function run(commands: readonly Command[], args: readonly string[], single?: Single): Promise<void> {
  const all: OptionSpecs = Object.assign({}, FORMER_OPTIONS, COMMON_OPTIONS, ...commands.map(({ options }) => options));
  if (IS_PROJECT) refuseSwallowed(single?.typed ?? PROGRAM, Object.keys(all));
  const typed = readArguments(all, args);
  const words = [...(single?.words.split(" ") ?? []), ...typed.words];
  if (words.length === 0) return console.log(helpOfAll(PROGRAM, commands, COMMON_OPTIONS));
  const { command, rest } = findCommand(commands, words);
  const isAsked = typed.given.help === true || (single !== undefined && args.length === 0);
  if (isAsked) return console.log(helpOfOne(single?.typed ?? `${PROGRAM} ${command.words}`, command, COMMON_OPTIONS));
  await runCommand(command, withPositional(command, rest, typed.given));
}

interface Found {
  readonly command: Command;
  /** The words behind those of the command. */
  readonly rest: readonly string[];
}

/** Of the commands whose words were typed the one with the most of them: `job` and `job list` may both be one. */
function findCommand(commands: readonly Command[], words: readonly string[]): Found {
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
