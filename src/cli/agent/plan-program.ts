// What a machine runs: the program of its image, with the environment that the request gives it.
import type { HookMachine, HookWorker } from "../../contract/fleet-hook.ts";
import type { AgentConfig, Image } from "./config.ts";
import type { Program } from "./keeper-messages.ts";
import { splitWords } from "./split-words.ts";

/** A program, or a sentence on what of the request cannot be done. */
export type Planned =
  | { readonly ok: true; readonly program: Program; readonly url: string | null }
  | { readonly ok: false; readonly detail: string };

/** What every program has of the agent's own environment. */
export interface OwnVariables {
  readonly PATH: string;
  readonly HOME: string;
}

interface Wanted {
  readonly worker: HookWorker;
  readonly machine: HookMachine;
  /** Where this machine's worker is to be called; null: it is not called. Processes of one machine share its ports. */
  readonly port: number | null;
  /** The file that the output goes to. */
  readonly log: string;
}

/**
 * Variables by which loaders, interpreters and shells run other code than the program that was started. With one of them a request could
 * run anything, whatever the configuration names. The list cannot be complete: what a worker itself reads in its environment is not in it.
 */
const CODE_CHOOSING = new RegExp(
  `^(?:${[
    "(?:LD|DYLD)_.*|GCONV_PATH|GLIBC_TUNABLES",
    "NODE_OPTIONS|NODE_PATH|NODE_REPL_EXTERNAL_MODULE",
    "PYTHON(?:PATH|HOME|STARTUP|USERBASE|BREAKPOINT|WARNINGS|INSPECT|EXECUTABLE|PLATLIBDIR|PYCACHEPREFIX)",
    "BASH_ENV|ENV|BASH_FUNC_.*|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND|IFS",
    "PERL5LIB|PERLLIB|PERL5OPT|PERL5DB|RUBYLIB|RUBYOPT|LUA_INIT.*|LUA_C?PATH.*",
    "_JAVA_OPTIONS|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|CLASSPATH",
  ].join("|")})$`,
);

export function planProgram(config: AgentConfig, own: OwnVariables, { worker, machine, port, log }: Wanted): Planned {
  const image = config.images.get(worker.image);
  if (image === undefined) {
    const known = [...config.images.keys()].join(", ") || "none";
    return refuse(`The agent has no image ${worker.image}; its configuration names: ${known}.`);
  }
  const args = argsOf(worker, image);
  if (typeof args === "string") return refuse(args);
  const given = { ...worker.env, ...machine.env };
  const wrong = wrongVariable(given, worker.image, image);
  if (wrong !== null) return refuse(wrong);
  const ports = port === null ? {} : { PORT: String(port), PORT_HEALTH: String(port) };
  const env: Readonly<Record<string, string>> = { ...given, ...ports, ...own, ...image.env };
  const url = port === null ? null : `http://127.0.0.1:${env.PORT}`;
  return { ok: true, url, program: { file: image.program, args: [...args], cwd: image.cwd, env, log } };
}

/** US dollars an hour; null: the configuration has no price for it. */
export function priceOf(config: AgentConfig, { image, gpuCount }: HookWorker, gpuTypeId: string): number | null {
  const ofImage = config.images.get(image)?.pricePerHour;
  if (ofImage !== undefined) return ofImage;
  const ofGpu = config.gpuPricesPerHour.get(gpuTypeId);
  return ofGpu === undefined ? null : ofGpu * gpuCount;
}

/** A text is a sentence on what is wrong. */
function argsOf({ args, image: name }: HookWorker, { args: own, allowArgs }: Image): readonly string[] | string {
  if (args === null || args.trim() === "") return own;
  if (!allowArgs)
    return `The agent takes no args for the image ${name}: "allowArgs": true in its configuration allows them.`;
  const words = splitWords(args);
  return words === null ? "args has a quote that is not closed, or ends with a backslash." : [...own, ...words];
}

/** Null: all are right. */
function wrongVariable(given: Readonly<Record<string, string>>, name: string, { allowEnv }: Image): string | null {
  for (const [variable, value] of Object.entries(given)) {
    if (variable === "" || /[=\0]/.test(variable))
      return `env: ${JSON.stringify(variable)} cannot be the name of a variable.`;
    if (value.includes("\0")) return `env.${variable} has a zero character, which no variable can have.`;
    if (!CODE_CHOOSING.test(variable) || allowEnv.includes(variable)) continue;
    return `The agent takes no ${variable} for the image ${name}, as it chooses the code that is run: allowEnv in its configuration allows it by name.`;
  }
  return null;
}

function refuse(detail: string): Planned {
  return { ok: false, detail };
}
