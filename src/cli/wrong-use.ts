// How a program of the command line ends when it cannot do what was typed: one sentence, and a code for scripts.

import { messageOf } from "../core/failure.ts";
import { fieldsOf } from "../core/json/value.ts";
import { printable, printableLine } from "./printable.ts";

/** The exit codes of the command line. 2 is that of other command lines, too. */
const EXIT_CODES = {
  failed: 1,
  wrongUse: 2,
  /** No broker answers: it may be worth another try. */
  unreachable: 3,
  /** There is no key, or the broker refuses it. */
  forbidden: 4,
  notFound: 5,
} as const;

type Ending = keyof typeof EXIT_CODES;

/** A failure that a script may want to tell from others. */
export class Failed extends Error {
  readonly ending: Ending;

  constructor(ending: Ending, sentence: string) {
    super(sentence);
    this.ending = ending;
  }
}

/** What was typed cannot be run as it stands. */
export class WrongUse extends Failed {
  constructor(sentence: string) {
    super("wrongUse", sentence);
  }
}

/** Prints the sentence of an error, as a line of JSON for a script that has asked for it, and sets the exit code. */
export function endWith(error: unknown, asJson = false): void {
  const exitCode = EXIT_CODES[endingOf(error)];
  const sentence = messageOf(error);
  console.error(asJson ? printableLine(JSON.stringify({ error: sentence, exitCode })) : printable(sentence));
  process.exitCode = exitCode;
}

function endingOf(error: unknown): Ending {
  if (error instanceof Failed) return error.ending;
  // Node's own sentences on an unknown option, or on one that lacks its value.
  const code = fieldsOf(error)?.code;
  return String(code).startsWith("ERR_PARSE_ARGS_") ? "wrongUse" : "failed";
}
