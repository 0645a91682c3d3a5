// A program `docker` whose containers are files, because no daemon runs where the tests do. Images whose name begins with
// `broken` cannot be run, a container of one that begins with `short` ends at once, with 1, and one of `once` cannot be started again.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

const DOCKER = `const { readFileSync, readdirSync, renameSync, rmSync, existsSync, writeFileSync } = require("node:fs");
const fail = (text) => { console.error(text); process.exit(1); };
const [command, ...args] = process.argv.slice(2);
// A file for each container, put in place whole: several of these run at once.
const fileOf = (name) => process.env.FAKE_CONTAINERS + "/" + name + ".json";
const save = (name, container) => {
  const written = fileOf(name) + "." + process.pid;
  writeFileSync(written, JSON.stringify(container));
  renameSync(written, fileOf(name));
};
const named = (name) => {
  try { return JSON.parse(readFileSync(fileOf(name), "utf8")); } catch { return fail("No such container: " + name); }
};
const setState = (name, state) => save(name, { ...named(name), State: state });
if (existsSync(process.env.FAKE_CONTAINERS + "/../down")) fail("Cannot connect to the Docker daemon");
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
  if (existsSync(fileOf(name))) fail("Conflict. The container name is already in use");
  if (rest[0].startsWith("broken")) fail("Unable to find image");
  const isShort = rest[0].startsWith("short");
  const state = isShort ? { Status: "exited", ExitCode: 1 } : { Status: "running", ExitCode: 0 };
  save(name, { Name: "/" + name, State: state, Config: { Labels: labels }, env, gpus, network, run: rest });
} else if (command === "ps") {
  const files = readdirSync(process.env.FAKE_CONTAINERS).filter((file) => file.endsWith(".json"));
  console.log(files.map((file) => file.slice(0, -5)).join("\\n"));
}
else if (command === "inspect") {
  // What is gone meanwhile is left out, and an error.
  const there = args.filter((name) => existsSync(fileOf(name)));
  console.log(JSON.stringify(there.map(named)));
  process.exitCode = there.length === args.length ? 0 : 1;
}
else if (command === "logs") console.log("its last words");
else if (command === "rm") rmSync(fileOf(args.at(-1)), { force: true });
else if (command === "stop") setState(args.at(-1), { Status: "exited", ExitCode: 143 });
else if (command === "start" && named(args.at(-1)).run[0].startsWith("once")) fail("could not select device driver");
else if (command === "start") setState(args.at(-1), { Status: "running", ExitCode: 0 });
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
  readonly #containers = join(this.#folder, "containers");
  /** By which whoever starts a program lets it find this engine. */
  readonly environment = {
    PATH: `${join(this.#folder, "bin")}${delimiter}${process.env.PATH}`,
    FAKE_CONTAINERS: this.#containers,
  };

  constructor() {
    mkdirSync(this.#containers);
    mkdirSync(join(this.#folder, "bin"));
    const program = join(this.#folder, "docker.cjs");
    writeFileSync(program, DOCKER);
    // The path of Node may have a space in it, at which a first line that names it would end.
    const start = `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`;
    writeFileSync(join(this.#folder, "bin/docker"), start, { mode: 0o755 });
  }

  /** By name. */
  containers(): Readonly<Record<string, FakeContainer>> {
    const files = readdirSync(this.#containers).filter((file) => file.endsWith(".json"));
    const read = (file: string) => JSON.parse(readFileSync(join(this.#containers, file), "utf8"));
    return Object.fromEntries(files.map((file) => [file.slice(0, -".json".length), read(file)]));
  }

  /** The container's program ends by itself. */
  exit(name: string): void {
    const path = join(this.#containers, `${name}.json`);
    const container = { ...JSON.parse(readFileSync(path, "utf8")), State: { Status: "exited", ExitCode: 1 } };
    writeFileSync(path, JSON.stringify(container));
  }

  /** Its daemon is down from now on: every command fails. */
  goDown(): void {
    writeFileSync(join(this.#folder, "down"), "");
  }

  discard(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
