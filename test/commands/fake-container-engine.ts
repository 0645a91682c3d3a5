// A program `docker` whose containers are lines of a file, because no daemon runs where the tests do. Images whose name begins with
// `broken` cannot be run, and a container of one that begins with `short` ends at once, with 1.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

const DOCKER = `#!${process.execPath}
const { existsSync, readFileSync, writeFileSync } = require("node:fs");
const file = process.env.FAKE_CONTAINERS;
const all = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
const save = () => writeFileSync(file, JSON.stringify(all));
const [command, ...args] = process.argv.slice(2);
const fail = (text) => { console.error(text); process.exit(1); };
const named = (name) => all[name] ?? fail("No such container: " + name);
if (command === "run") {
  const labels = {}, rest = [];
  let name = "", gpus = "", env = "", network = "";
  while (args.length > 0) {
    const word = args.shift();
    if (rest.length > 0) rest.push(word);
    else if (word === "--detach") continue;
    else if (word === "--name") name = args.shift();
    else if (word === "--gpus") gpus = args.shift();
    else if (word === "--network") network = args.shift();
    else if (word === "--env-file") env = readFileSync(args.shift(), "utf8");
    else if (word === "--label") { const [key, value] = args.shift().split("="); labels[key] = value; }
    else if (word.startsWith("-")) fail("unknown flag: " + word);
    else rest.push(word);
  }
  if (name in all) fail("Conflict. The container name is already in use");
  if (rest[0].startsWith("broken")) fail("Unable to find image");
  const isShort = rest[0].startsWith("short");
  const state = isShort ? { Status: "exited", ExitCode: 1 } : { Status: "running", ExitCode: 0 };
  all[name] = { Name: "/" + name, State: state, Config: { Labels: labels }, env, gpus, network, run: rest };
  save();
} else if (command === "ps") console.log(Object.keys(all).join("\\n"));
else if (command === "inspect") console.log(JSON.stringify(args.map(named)));
else if (command === "logs") console.log("its last words");
else if (command === "rm") { named(args.at(-1)); delete all[args.at(-1)]; save(); }
else if (command === "stop") { named(args.at(-1)).State = { Status: "exited", ExitCode: 143 }; save(); }
else if (command === "start") { named(args.at(-1)).State = { Status: "running", ExitCode: 0 }; save(); }
else fail("unknown command: " + command);
`;

export interface FakeContainer {
  readonly State: { readonly Status: string };
  readonly Config: { readonly Labels: Readonly<Record<string, string>> };
  readonly env: string;
  readonly gpus: string;
  readonly network: string;
  readonly run: readonly string[];
}

export class FakeContainerEngine {
  readonly #folder = mkdtempSync(join(tmpdir(), "fake-containers-"));
  readonly #file = join(this.#folder, "containers.json");
  /** By which whoever starts a program lets it find this engine. */
  readonly environment = {
    PATH: `${join(this.#folder, "bin")}${delimiter}${process.env.PATH}`,
    FAKE_CONTAINERS: this.#file,
  };

  constructor() {
    mkdirSync(join(this.#folder, "bin"));
    writeFileSync(join(this.#folder, "bin/docker"), DOCKER, { mode: 0o755 });
    writeFileSync(this.#file, "{}");
  }

  /** By name. */
  containers(): Readonly<Record<string, FakeContainer>> {
    return JSON.parse(readFileSync(this.#file, "utf8"));
  }

  discard(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
