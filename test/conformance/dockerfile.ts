// Runs the steps of a Dockerfile where there is no Docker: each stage is a folder that begins empty, COPY copies into it, and RUN runs there.
// What a container adds is left out, such as another user and the image's own files. An instruction that is not known here is an error.
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, matchesGlob, relative } from "node:path";
import { promisify } from "node:util";
import * as z from "zod";

type Variables = Readonly<Record<string, string>>;

/** A stage of the build; the last one is the image. */
export interface Stage {
  readonly image: string;
  /** Stands for the root of its files. */
  readonly root: string;
  /** From the root, with a slash before it. */
  readonly workdir: string;
  /** As it is written; null: it is not. */
  readonly user: string | null;
  readonly variables: Variables;
  readonly command: readonly string[];
}

interface Build {
  /** The folder that is handed to `docker build`, with the Dockerfile in it. */
  readonly context: string;
  /** An empty folder for the stages. */
  readonly folder: string;
  /** Of RUN, beside those that the Dockerfile sets. */
  readonly variables: Variables;
}

const commandSchema = z.array(z.string()).min(1);
const RUN_MAX_MS = 100_000;

/** Resolves with the last stage. */
export async function runDockerfile(build: Build): Promise<Stage> {
  const stages = new Map<string, Stage>();
  let stage: Stage | null = null;
  for (const { instruction, rest } of instructionsIn(readFileSync(join(build.context, "Dockerfile"), "utf8"))) {
    if (instruction === "FROM") {
      const [image = "", as, name = `stage ${stages.size}`] = rest.split(/\s+/);
      if (as !== undefined && as !== "AS") throw new Error(`FROM ${rest} is not known here`);
      const root = join(build.folder, name);
      mkdirSync(root);
      stage = { image, root, workdir: "/", user: null, variables: {}, command: [] };
      stages.set(name, stage);
      continue;
    }
    if (stage === null) throw new Error(`${instruction} stands before FROM`);
    const changed: Stage = { ...stage, ...(await step(instruction, rest, { stage, stages, build })) };
    for (const [name, known] of stages) if (known === stage) stages.set(name, changed);
    stage = changed;
  }
  if (stage === null) throw new Error("the Dockerfile has no FROM");
  return stage;
}

/** The folder in which a command of the stage runs. */
export function placeOf({ root, workdir }: Stage): string {
  return join(root, workdir);
}

interface Place {
  readonly stage: Stage;
  readonly stages: ReadonlyMap<string, Stage>;
  readonly build: Build;
}

/** Resolves with what the stage has become. */
async function step(instruction: string, rest: string, place: Place): Promise<Partial<Stage>> {
  const { stage, build } = place;
  switch (instruction) {
    case "WORKDIR": {
      if (!rest.startsWith("/")) throw new Error(`WORKDIR ${rest} must begin with a slash`);
      mkdirSync(join(stage.root, rest), { recursive: true });
      return { workdir: rest };
    }
    case "ENV": {
      const [, name = "", value = ""] = /^(\w+)=(\S+)$/.exec(rest) ?? [];
      if (name === "") throw new Error(`ENV ${rest} is not known here`);
      return { variables: { ...stage.variables, [name]: value } };
    }
    case "USER":
      return { user: rest };
    case "COPY":
      copy(rest, place);
      return {};
    case "RUN": {
      const env = { ...process.env, ...build.variables, ...stage.variables };
      await promisify(execFile)("sh", ["-c", rest], { cwd: placeOf(stage), env, timeout: RUN_MAX_MS });
      return {};
    }
    case "CMD":
      return { command: commandSchema.parse(JSON.parse(rest)) };
    default:
      throw new Error(`the instruction ${instruction} is not known here`);
  }
}

/** A folder is copied by what is in it, everything else by its name. */
function copy(rest: string, { stage, stages, build }: Place): void {
  const words = rest.split(/\s+/);
  const [, from] = /^--from=(.+)$/.exec(words[0] ?? "") ?? [];
  const source = from === undefined ? null : stages.get(from);
  if (source === undefined) throw new Error(`COPY ${rest}: there is no such stage`);
  const names = words.slice(from === undefined ? 0 : 1, -1);
  const to = words.at(-1) ?? "";
  const option = names.find((name) => name.startsWith("--"));
  if (option !== undefined || names.length === 0) throw new Error(`COPY ${rest} is not known here`);
  const isIgnored = source === null ? ignored(build.context) : () => false;
  const target = join(to.startsWith("/") ? stage.root : placeOf(stage), to);
  for (const name of names) {
    const path = join(source?.root ?? build.context, name);
    if (!existsSync(path) || isIgnored(path))
      throw new Error(`COPY ${rest}: there is no ${name} in what it copies from`);
    if (statSync(path).isDirectory()) {
      mkdirSync(target, { recursive: true });
      for (const entry of readdirSync(path)) {
        cpSync(join(path, entry), join(target, entry), { recursive: true, filter: (file) => !isIgnored(file) });
      }
    } else if (to.endsWith("/")) cpSync(path, join(target, basename(name)));
    else cpSync(path, target);
  }
}

/** What `.dockerignore` keeps out of the context. */
function ignored(context: string): (path: string) => boolean {
  const file = join(context, ".dockerignore");
  const patterns = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
  const odd = patterns.find((pattern) => !/^[\w.*/-]+$/.test(pattern));
  if (odd !== undefined) throw new Error(`the pattern ${odd} of .dockerignore is not known here`);
  return (path) => {
    // A pattern that is met by a folder keeps out what is in it.
    for (let part = relative(context, path); part !== "."; part = dirname(part)) {
      if (patterns.some((pattern) => matchesGlob(part, pattern))) return true;
    }
    return false;
  };
}

/** Comments and empty lines are left out, and a line that ends with a backslash goes on in the next one. */
function instructionsIn(text: string): { readonly instruction: string; readonly rest: string }[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "" && !line.trimStart().startsWith("#"));
  const whole = lines.join("\n").replaceAll(/\\\n/g, " ").split("\n");
  return whole.map((line) => {
    const [, instruction = "", rest = ""] = /^([A-Z]+)\s+(.+)$/.exec(line.trim()) ?? [];
    if (instruction === "") throw new Error(`the line "${line}" is no instruction`);
    return { instruction, rest };
  });
}
