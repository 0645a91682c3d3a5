// The command line as a whole: finds the command that was typed in the table, and runs it or prints its help.
import type { Command, OptionSpecs } from "./commands/command.ts";
import { findCommand } from "./find-command.ts";
import { helpOfAll, helpOfOne } from "./help.ts";
import { refuseSwallowed } from "./npm-words.ts";
import { IS_PROJECT, PROGRAM } from "./program.ts";
import { readArguments } from "./read-options.ts";
import { COMMON_OPTIONS, FORMER_OPTIONS, runCommand } from "./run-command.ts";
import { endWith } from "./wrong-use.ts";

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
  const { command, given } = findCommand(commands, { words, given: typed.given });
  const isAsked = typed.given.help === true || (single !== undefined && args.length === 0);
  if (isAsked) return console.log(helpOfOne(single?.typed ?? `${PROGRAM} ${command.words}`, command, COMMON_OPTIONS));
  await runCommand(command, given, commands);
}
