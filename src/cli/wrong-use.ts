// How a program of the command line ends when it cannot do what was typed: one sentence, and a code for scripts.
import { messageOf } from "../core/failure.ts";
import { printable } from "./printable.ts";

/** What was typed cannot be run as it stands: exit code 2, as of other command lines. Anything else that fails is 1. */
export class WrongUse extends Error {}

/** Prints the sentence of an error and sets the exit code. */
export function endWith(error: unknown): void {
  console.error(printable(messageOf(error)));
  process.exitCode = error instanceof WrongUse || isOfParseArgs(error) ? 2 : 1;
}

/** Node's own sentences on an unknown option, or on one that lacks its value. */
function isOfParseArgs(error: unknown): boolean {
  return error instanceof Error && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS_");
}
