// What the operator's commands share: the checks of option values, and the choice of the database and its secrets.
import { join, resolve } from "node:path";
import type { parseArgs } from "node:util";
import { type AdminSecrets, readSecrets } from "./admin-secrets.ts";
import { type Execute, executeLocal, executeRemote } from "./d1.ts";
import { DEV_STATE_FOLDER, PROJECT_FOLDER } from "./dev-database.ts";

/** The options that choose a database, for `parseArgs`. */
export const DATABASE_OPTIONS = {
  local: { type: "boolean" },
  remote: { type: "boolean" },
  state: { type: "string" },
  /** The first name of `--state`, which still works. */
  "persist-to": { type: "string", default: DEV_STATE_FOLDER },
} as const;

type DatabaseChoice = ReturnType<typeof parseArgs<{ options: typeof DATABASE_OPTIONS }>>["values"];

/** Where the state of a local database is. */
export function stateFolderOf(options: DatabaseChoice): string {
  return resolve(options.state ?? options["persist-to"]);
}

/** The database that the options choose, and its secrets, which are read only when they are needed. */
export function chooseDatabase(options: DatabaseChoice): {
  readonly execute: Execute;
  readonly secrets: () => Promise<AdminSecrets>;
} {
  const remote = options.remote === true;
  if (remote && options.local === true) throw new Error("--local or --remote, not both");
  const persistTo = stateFolderOf(options);
  return {
    execute: (...statements) => (remote ? executeRemote(statements) : executeLocal(persistTo, statements)),
    secrets: () => readSecrets(remote ? null : join(PROJECT_FOLDER, ".dev.vars")),
  };
}

/** The value, if it is one of those that are allowed. */
export function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw new Error(`--${name} must be one of ${allowed.join(", ")}`);
  return found;
}

/** The number that a value stands for, if it is whole and within the bounds. */
export function wholeNumber(name: string, value: string, min: number, max: number): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  throw new Error(`--${name} must be a whole number from ${min} to ${max}`);
}

/** The same for an option that may be left out. */
export function optionalNumber(name: string, value: string | undefined, min: number, max: number): number | undefined {
  return value === undefined ? undefined : wholeNumber(name, value, min, max);
}
