// A command of the operator as data: its words, what it is for, its options, and the request that it makes of them. Help, the
// checks of what is typed, and the names in sentences about it are all made of this, so that they cannot differ.
import type { Fields } from "../../core/json/value.ts";
import type { Api } from "../api.ts";
import type { Place } from "../where.ts";

/** What an option names, if it names something that the broker has: a wrong name is answered with what there is. */
export type Named = "tenant" | "endpoint" | "upstream" | "provider" | "key" | "worker key";

export interface OptionSpec {
  /** `duration`: `90s`, `15m`, `12h` or `30d`, in seconds. `list`: words with commas between them. */
  readonly type: "text" | "flag" | "number" | "duration" | "list";
  /** What stands for the value in the help, such as `ID`. A flag has none. */
  readonly value?: string;
  readonly about: string;
  readonly required?: boolean;
  /** Of a number or a duration. */
  readonly min?: number;
  readonly max?: number;
  /** The only values of a text or a list. */
  readonly choices?: readonly string[];
  /** The field of the request's body that gets the value; a refusal of that field then names this option. */
  readonly field?: string;
  /** What a number is multiplied by for the field, such as the bytes of a mebibyte. */
  readonly unit?: number;
  readonly names?: Named;
  /** Sentences on values that are made in another way. */
  readonly elsewhere?: Readonly<Record<string, string>>;
  /** Of an earlier release: it works, and the help leaves it out. */
  readonly isFormer?: boolean;
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

type Plain<Spec> = Spec extends { readonly type: "number" | "duration" }
  ? number
  : Spec extends { readonly choices: readonly (infer Choice)[] }
    ? Spec extends { readonly type: "list" }
      ? readonly Choice[]
      : Choice
    : Spec extends { readonly type: "list" }
      ? readonly string[]
      : string;

type ValueOf<Spec> = Spec extends { readonly type: "flag" }
  ? boolean
  : Spec extends { readonly required: true }
    ? Plain<Spec>
    : Plain<Spec> | undefined;

/** The checked values of options, by name. */
export type Values<Options extends OptionSpecs> = { readonly [Name in keyof Options]: ValueOf<Options[Name]> };

/** What a command prints. */
export interface Shown {
  /** All of it, for `--json`. */
  readonly json: unknown;
  /** The same for people. */
  readonly lines: readonly string[];
  /** Goes to the other stream, so that a file holds the answer alone. */
  readonly notes?: readonly string[];
  /** It holds a key or a secret that is not shown again. */
  readonly isSecret?: boolean;
  /** It was done, and what it found is bad: exit code 1, for scripts. */
  readonly isBad?: boolean;
}

/** A command as it was typed, with checked options. */
export interface CommandCall<Options extends OptionSpecs> {
  readonly options: Values<Options>;
  /** Those options that have a `field` and a value, as the body of a request. */
  readonly body: Fields;
  /** All commands of the program, and the options that each of them has. */
  readonly table: { readonly commands: readonly Command[]; readonly common: OptionSpecs };
  /** Was JSON asked for? Only a command that prints before its end has to look. */
  readonly isJson: boolean;
  /** The folder of a local broker's state. */
  readonly state: string;
  /** Where the broker was said to be, for a command that does not simply call it. */
  readonly place: Place;
  /** The broker. It is looked for, and the key is read, when this is called. */
  readonly api: () => Promise<Api>;
}

interface CommandSpec<Options extends OptionSpecs> {
  /** As they are typed, such as `key create`. */
  readonly words: string;
  /** One line, in the imperative. */
  readonly summary: string;
  readonly options: Options;
  /** The words of an earlier release, which still work. */
  readonly formerWords?: string;
  /** The option whose value may be typed behind the words, without its name. */
  readonly positional?: keyof Options & string;
  /** A change takes at least one of these, so that one that was mistyped does not pass for done. */
  readonly needsOneOf?: readonly (keyof Options & string)[];
  /** More for the help of this command alone. */
  readonly notes?: readonly string[];
  /** Null: it has printed all by itself. */
  readonly run: (call: CommandCall<Options>) => Promise<Shown | null>;
}

/** A command of the table, whose options are of any kind. */
export interface Command extends Omit<CommandSpec<OptionSpecs>, "run"> {
  readonly run: (call: UncheckedCall) => Promise<Shown | null>;
}

interface UncheckedCall extends Omit<CommandCall<OptionSpecs>, "options"> {
  readonly options: Readonly<Record<string, unknown>>;
}

/** Declares a command. */
export function command<const Options extends OptionSpecs>(spec: CommandSpec<Options>): Command {
  // The values that `run` gets are checked against these very options (read-options.ts), which the erased type does not show.
  return spec as unknown as Command;
}
