// npm run admin -- COMMAND [--options]: manages a local or a deployed broker by its HTTP API.
import type { Command, OptionSpecs } from "./commands/command.ts";
import { COMMANDS } from "./commands/table.ts";
import { helpOfAll, helpOfOne } from "./help.ts";
import { refuseSwallowed } from "./npm-words.ts";
import { readArguments } from "./read-options.ts";
import { COMMON_OPTIONS, FORMER_OPTIONS, runCommand } from "./run-command.ts";
import { endWith, WrongUse } from "./wrong-use.ts";

const PROGRAM = "npm run admin";

async function main(): Promise<void> {
  const all: OptionSpecs = Object.assign({}, FORMER_OPTIONS, COMMON_OPTIONS, ...COMMANDS.map(({ options }) => options));
  refuseSwallowed(PROGRAM, Object.keys(all));
  const { words, given } = readArguments(all);
  if (words.length === 0) return console.log(helpOfAll(PROGRAM, COMMANDS, COMMON_OPTIONS));
  const command = findCommand(words.join(" "));
  if (given.help === true) return console.log(helpOfOne(`${PROGRAM} -- ${command.words}`, command, COMMON_OPTIONS));
  await runCommand(command, given);
}

function findCommand(typed: string): Command {
  const found = COMMANDS.find(({ words }) => words === typed);
  if (found !== undefined) return found;
  const [first = ""] = typed.split(" ");
  const near = COMMANDS.filter(({ words }) => words.split(" ")[0] === first);
  const there = (near.length === 0 ? COMMANDS : near).map(({ words }) => words).join(", ");
  throw new WrongUse(`there is no command "${typed}"; there ${near.length === 1 ? "is" : "are"} ${there}`);
}

main().catch(endWith);
