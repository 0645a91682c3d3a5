// Runs one command of the table: checks its options, finds the broker, and prints what comes, or one sentence on why nothing does.
import { type Api, makeApi } from "./api.ts";
import type { Command, OptionSpecs, Shown } from "./commands/command.ts";
import { printable, printableLine } from "./printable.ts";
import { makeOutputPrivate } from "./private-file.ts";
import { bodyOf, checkOptions, refuseForeign, type Typed } from "./read-options.ts";
import { explain } from "./refused.ts";
import { findBroker, type Place, stateFolderOf } from "./where.ts";
import { WrongUse } from "./wrong-use.ts";

/** The options by which every command finds its broker. */
const PLACE_OPTIONS = {
  broker: {
    type: "text",
    value: "URL",
    about: "the broker; else WAYBILL_URL, else the one that npm start runs, else that of the last login",
  },
  state: {
    type: "text",
    value: "DIR",
    about: "the folder of a local broker's state (.waybill/dev)",
  },
  /** The first name of `--state`, which still works. */
  "persist-to": { type: "text", value: "DIR", about: "the same as --state", isFormer: true },
} as const satisfies OptionSpecs;

/** The options that every command has. */
export const COMMON_OPTIONS = {
  ...PLACE_OPTIONS,
  json: { type: "flag", about: "print the answer as JSON" },
  help: { type: "flag", about: "print this" },
} as const satisfies OptionSpecs;

const EITHER = new Intl.ListFormat("en-GB", { type: "disjunction" });

/** Of earlier releases, which wrote the database. */
export const FORMER_OPTIONS = {
  local: { type: "flag", about: "", isFormer: true },
  remote: { type: "flag", about: "", isFormer: true },
} as const satisfies OptionSpecs;

/** Runs it and prints its answer. Throws an error whose message is one sentence. */
export async function runCommand(command: Command, given: Typed["given"], commands: readonly Command[]): Promise<void> {
  refuseFormer(command, given);
  refuseForeign(command, COMMON_OPTIONS, given);
  const options = checkOptions(command.options, given);
  const place: Place = checkOptions(PLACE_OPTIONS, given);
  const { needsOneOf = [] } = command;
  if (needsOneOf.length > 0 && needsOneOf.every((name) => options[name] === undefined || options[name] === false))
    throw new WrongUse(`${EITHER.format(needsOneOf.map((name) => `--${name}`))} is missing`);
  let known: Api | undefined;
  const api = async (): Promise<Api> => {
    known ??= makeApi(await findBroker(place));
    return known;
  };
  const body = bodyOf(command.options, options);
  try {
    const isJson = given.json === true;
    const table = { commands, common: COMMON_OPTIONS };
    const shown = await command.run({ options, body, place, api, table, isJson, state: stateFolderOf(place) });
    if (shown !== null) print(shown, isJson);
  } catch (error) {
    throw known === undefined ? error : await explain(error, command.options, options, known);
  }
}

function refuseFormer({ words, options }: Command, given: Typed["given"]): void {
  for (const name of Object.keys(FORMER_OPTIONS)) {
    if (given[name] === undefined || options[name] !== undefined) continue;
    throw new WrongUse(`${words} speaks to a broker, not to a database: --broker URL in place of --${name}`);
  }
}

function print({ json, lines, notes = [], isSecret = false, isBad = false }: Shown, asJson: boolean): void {
  if (isSecret) makeOutputPrivate();
  if (asJson) console.log(printable(JSON.stringify(json, null, 2)));
  else if (lines.length > 0) console.log(lines.map(printableLine).join("\n"));
  for (const note of notes) console.error(printableLine(note));
  if (isBad) process.exitCode = 1;
}
