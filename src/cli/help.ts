// The help of the operator's commands, made of the table.
import type { Command, OptionSpec, OptionSpecs } from "./commands/command.ts";

const INDENT = "  ";
const LINE_MAX_CHARS = 110;

/** All commands, a line each. `common`: the options that every command has. */
export function helpOfAll(program: string, commands: readonly Command[], common: OptionSpecs): string {
  const width = Math.max(...commands.map(({ words }) => words.length));
  return [
    `${program} COMMAND [--options]      ${program} COMMAND --help: the options of one`,
    "",
    ...commands.map(({ words, summary }) => `${INDENT}${words.padEnd(width)}  ${summary}`),
    "",
    "Every command takes:",
    ...optionLines(common),
    "",
    ...SECRETS,
  ].join("\n");
}

/** One command: how it is typed, and what each option is. `program`: what comes before its options. */
export function helpOfOne(program: string, command: Command, common: OptionSpecs): string {
  const { summary, options, positional, notes = [] } = command;
  const words = Object.entries(options).map(([name, spec]) =>
    name === positional ? positionalWord(spec) : optionWord(name, spec),
  );
  return [
    ...wrap(program, words),
    "",
    `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`,
    ...(words.length === 0 ? [] : ["", ...optionLines(options)]),
    ...(notes.length === 0 ? [] : ["", ...notes]),
    "",
    "As every command:",
    ...optionLines(common),
    "",
    ...SECRETS,
  ].join("\n");
}

/** A program that is a single command of its own. */
export function helpOfProgram(program: string, summary: string, options: OptionSpecs): string {
  const words = Object.entries(options).map(([name, spec]) => optionWord(name, spec));
  return [...wrap(`${program} --`, words), "", summary, "", ...optionLines(options)].join("\n");
}

const SECRETS = [
  "Secrets are never arguments, which others can see: the key is in WAYBILL_KEY, beside the state of a local broker, or kept by login,",
  "and a credential of an upstream in WAYBILL_CREDENTIAL; else you are asked, unseen.",
  "Exit code 1: it failed; 2: it was typed wrong; 3: no broker answers; 4: no key, or it is refused; 5: there is no such thing.",
];

function positionalWord({ value = "", required }: OptionSpec): string {
  return required === true ? value : `[${value}]`;
}

function optionWord(name: string, { value, required }: OptionSpec): string {
  const word = value === undefined ? `--${name}` : `--${name} ${value}`;
  return required === true ? word : `[${word}]`;
}

function optionLines(options: OptionSpecs): string[] {
  const shown = Object.entries(options).filter(([, { isFormer }]) => isFormer !== true);
  const lines = shown.map(([name, { value = "", about }]) => [`--${name} ${value}`.trimEnd(), about]);
  const width = Math.max(...lines.map(([word = ""]) => word.length));
  return lines.map(([word = "", about = ""]) => `${INDENT}${word.padEnd(width)}  ${about}`);
}

/** Lines that begin under the first word behind `start`. */
function wrap(start: string, words: readonly string[]): string[] {
  const lines = [start];
  for (const word of words) {
    const line = lines.at(-1) ?? "";
    if (line.length + 1 + word.length > LINE_MAX_CHARS) lines.push(`${" ".repeat(start.length)} ${word}`);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}
