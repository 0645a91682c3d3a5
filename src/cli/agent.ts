// The agent of the provider `local`: makes the machines of a broker on this machine, each a worker in a process of its own. It speaks the
// protocol of a hook (src/contract/fleet-hook.ts), and everything that it has started ends with it, however it ends.
import { homedir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../core/failure.ts";
import { fieldsOf } from "../core/json/value.ts";
import { readAgentConfig } from "./agent/config.ts";
import { HookServer } from "./agent/hook-server.ts";
import { Keeper } from "./agent/keeper.ts";
import { LogFolder } from "./agent/log-folder.ts";
import { Machines } from "./agent/machines.ts";
import type { OptionSpecs, Values } from "./commands/command.ts";
import { PROJECT_FOLDER } from "./folders.ts";
import { helpOfProgram } from "./help.ts";
import { refuseSwallowed } from "./npm-words.ts";
import { checkOptions, readArguments } from "./read-options.ts";
import { endWith, WrongUse } from "./wrong-use.ts";

const PROGRAM = "npm run agent";
const SECRET = "WAYBILL_HOOK_SECRET";

const OPTIONS = {
  config: { type: "text", value: "FILE", required: true, about: "JSON: which program each image stands for" },
  port: { type: "number", value: "N", max: 65_535, about: "of 127.0.0.1; 0, which is the default, takes any free one" },
  max: { type: "number", value: "N", min: 1, max: 1_000, about: "machines that run at once (8)" },
  logs: { type: "text", value: "DIR", about: "where the output of machines is kept (.waybill/agent)" },
  "ends-with-input": {
    type: "flag",
    about: "end when the standard input ends: when whoever holds its other end is gone",
  },
} as const satisfies OptionSpecs;

const HELP = { help: { type: "flag", about: "print this" } } as const satisfies OptionSpecs;

const SUMMARY = `Makes the machines of a provider of the kind local on this machine: each is a process of a program that the configuration names, such as
{"images": {"acme/worker:1": {"program": "python3", "args": ["-u", "handler.py"], "cwd": "worker"}}}.
${SECRET} is the provider's secret, whsec_ and base64. When it can be called, a line of JSON tells its address.
Exit code 1: it failed; 2: it was typed wrong, or its configuration is wrong.`;

async function main(): Promise<void> {
  const specs = { ...OPTIONS, ...HELP };
  refuseSwallowed(PROGRAM, Object.keys(specs));
  const { words, given } = readArguments(specs);
  if (given.help === true) return console.log(helpOfProgram(PROGRAM, SUMMARY, specs));
  if (words.length > 0) throw new WrongUse(`${PROGRAM} takes no ${words.join(" ")}: --help shows its options`);
  // The values are checked against these very options, which the type of the answer does not show.
  const options = checkOptions(OPTIONS, given) as Values<typeof OPTIONS>;
  const { PATH = "/usr/local/bin:/usr/bin:/bin", HOME = homedir() } = process.env;
  const config = readAgentConfig(options.config, PATH);
  const logs = new LogFolder(options.logs ?? join(PROJECT_FOLDER, ".waybill", "agent"));
  const keeper = new Keeper(lost);
  try {
    const machines = new Machines({ config, own: { PATH, HOME }, keeper, logs, max: options.max ?? 8 });
    const server = makeServer((request) => machines.apply(request));
    endInOrder(server, keeper, options["ends-with-input"]);
    const url = await listen(server, options.port ?? 0);
    await keeper.ready;
    console.log(JSON.stringify({ event: "serving", url, pid: process.pid }));
  } catch (error) {
    await keeper.stop();
    throw error;
  }
}

/** Nothing can be started or ended any more, and all that ran was killed. */
function lost(): void {
  console.error("The process that keeps the agent's machines has ended, and they with it: start the agent again.");
  process.exit(1);
}

function makeServer(apply: ConstructorParameters<typeof HookServer>[0]["apply"]): HookServer {
  const secret = process.env[SECRET] ?? "";
  if (!secret.startsWith("whsec_"))
    throw new WrongUse(`${SECRET} must be set to the provider's secret, whsec_ and base64`);
  try {
    return new HookServer({ secret, apply });
  } catch (error) {
    throw new WrongUse(`${SECRET} cannot verify anything: ${messageOf(error)}`);
  }
}

async function listen(server: HookServer, port: number): Promise<string> {
  try {
    return await server.listen(port);
  } catch (error) {
    if (fieldsOf(error)?.code !== "EADDRINUSE") throw error;
    throw new WrongUse(`Port ${port} is in use: stop what listens there, or choose another one with --port N`);
  }
}

/** Ends all machines and then this process, which takes 5 s at most, when a signal comes, or its input ends. */
function endInOrder(server: HookServer, keeper: Keeper, withInput: boolean): void {
  let isEnding = false;
  const end = (): void => {
    if (isEnding) return;
    isEnding = true;
    server.close();
    keeper.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);
  if (withInput) process.stdin.on("close", end).on("error", end).resume();
}

main().catch((error: unknown) => {
  endWith(error);
  // An open input alone would keep it alive.
  process.exit();
});
