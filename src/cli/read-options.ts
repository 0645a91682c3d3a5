// Checks what was typed against the options of a command, and makes the body of its request.
import { type ParseArgsConfig, parseArgs } from "node:util";
import type { Fields } from "../core/json/value.ts";
import type { Command, OptionSpec, OptionSpecs } from "./commands/command.ts";
import { WrongUse } from "./wrong-use.ts";

/** What `parseArgs` gives for an option. */
type Given = string | boolean | undefined;

/** The words and options of a command line, of which nothing but the options' names is checked. */
export interface Typed {
  readonly words: readonly string[];
  readonly given: Readonly<Record<string, Given>>;
}

/** Reads a command line. An option that none of `specs` names ends it in a sentence of Node's. */
export function readArguments(specs: OptionSpecs, args?: readonly string[]): Typed {
  const options = Object.fromEntries(
    Object.entries(specs).map(([name, { type }]) => [name, { type: type === "flag" ? "boolean" : "string" }]),
  ) as NonNullable<ParseArgsConfig["options"]>;
  const parsed = parseArgs({ allowPositionals: true, options, ...(args === undefined ? {} : { args: [...args] }) });
  // No option has `multiple`, so no value is a list.
  return { words: parsed.positionals, given: parsed.values as Record<string, Given> };
}

/** The checked values of a command's options. Throws one sentence that names the first one that is wrong or missing. */
export function checkOptions(specs: OptionSpecs, given: Typed["given"]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => {
      const value = given[name];
      if (spec.type === "flag") return [name, value === true];
      if (value === undefined || value === "") {
        if (spec.required === true) throw new WrongUse(`--${name} is missing`);
        if (value === "") throw new WrongUse(`--${name} has no value`);
        return [name, undefined];
      }
      return [name, checkValue(name, spec, String(value))];
    }),
  );
}

/** The options that another command has, and this one has not, end it: a mistyped command is not run without them. */
export function refuseForeign({ words, options }: Command, common: OptionSpecs, given: Typed["given"]): void {
  const foreign = Object.keys(given).find((name) => options[name] === undefined && common[name] === undefined);
  if (foreign === undefined) return;
  const names = Object.keys(options).map((name) => `--${name}`);
  const has = names.length === 0 ? "it has none of its own" : `it has ${names.join(", ")}`;
  throw new WrongUse(`${words} has no option --${foreign}; ${has}`);
}

/** The body of a request: the value of each option with a field. */
export function bodyOf(specs: OptionSpecs, values: Readonly<Record<string, unknown>>): Fields {
  const fields = Object.entries(specs).flatMap(([name, { field, type, unit = 1 }]) => {
    const value = values[name];
    if (field === undefined || value === undefined || value === false) return [];
    return [[field, type === "number" ? Number(value) * unit : value] as const];
  });
  return Object.fromEntries(fields);
}

function checkValue(name: string, spec: OptionSpec, text: string): unknown {
  switch (spec.type) {
    case "number":
      return wholeNumber(name, spec, text);
    case "duration":
      return seconds(name, spec, text);
    case "list": {
      const words = text.split(",").map((word) => word.trim());
      for (const word of words) refuseUnlisted(name, spec, word);
      return words;
    }
    default:
      refuseUnlisted(name, spec, text);
      return text;
  }
}

function refuseUnlisted(name: string, { choices, elsewhere = {} }: OptionSpec, word: string): void {
  const sentence = elsewhere[word];
  if (sentence !== undefined) throw new WrongUse(sentence);
  if (choices !== undefined && !choices.includes(word))
    throw new WrongUse(`--${name} must be one of ${choices.join(", ")}`);
}

function wholeNumber(name: string, { min = 0, max = Number.MAX_SAFE_INTEGER }: OptionSpec, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  throw new WrongUse(`--${name} must be a whole number from ${min} to ${max}`);
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

function seconds(name: string, { min = 0, max = Number.MAX_SAFE_INTEGER }: OptionSpec, text: string): number {
  const [, digits = "", unit = "s"] = /^(\d{1,10})([smhd])?$/.exec(text) ?? [];
  const value = Number(digits) * (UNIT_SECONDS[unit] ?? 1);
  if (digits !== "" && value >= min && value <= max) return value;
  const least = min > 1 ? ` at least ${inUnit(min)}` : "";
  throw new WrongUse(`--${name} must be a duration such as 90s, 15m, 12h or 30d,${least} and at most ${inUnit(max)}`);
}

/** Seconds in the largest unit that gives a whole number. */
function inUnit(value: number): string {
  const [unit, size] = Object.entries(UNIT_SECONDS).findLast(([, length]) => value % length === 0) ?? ["s", 1];
  return `${value / size} ${unit}`;
}
