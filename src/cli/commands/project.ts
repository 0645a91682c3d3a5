// Commands that run in the folder of a worker: to make one, and to run it while it is written.
import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { runDev } from "../project/dev.ts";
import { initProject } from "../project/init.ts";
import { readableLine } from "../project/log-line.ts";
import { followLog, readLog } from "../project/read-log.ts";
import { shellWord } from "../project/shell-word.ts";
import { typedLine } from "../typed-line.ts";
import type { Place } from "../where.ts";
import { WrongUse } from "../wrong-use.ts";
import { type Command, type CommandCall, command, type Shown } from "./command.ts";

const INIT_OPTIONS = {
  folder: { type: "text", value: "FOLDER", about: "where it is made (this folder)" },
  name: { type: "text", value: "NAME", about: "of the endpoint and of the package (made of the folder's)" },
  language: {
    type: "text",
    value: "LANG",
    choices: ["ts", "js"],
    about: "ts or js (ts, where Node runs it)",
  },
} as const;

const FOLDER = { type: "text", value: "FOLDER", about: "the worker's (this folder)" } as const;

const DEV_OPTIONS = {
  folder: FOLDER,
  local: { type: "flag", about: "serve an endpoint on this machine, whatever broker there is" },
  port: {
    type: "number",
    value: "N",
    min: 1,
    max: 65_535,
    about: "of that endpoint (the first free one from 8000 on)",
  },
} as const;

const LOGS_OPTIONS = {
  folder: FOLDER,
  follow: { type: "flag", about: "go on with what comes, until Ctrl-C" },
  lines: { type: "number", value: "N", about: "the last N lines (all that are kept)" },
  job: { type: "text", value: "ID", about: "only lines that name this job" },
} as const;

export const PROJECT_COMMANDS: readonly Command[] = [
  command({
    words: "init",
    summary:
      "make the folder of a new worker: a handler with a small model, a test, an image, and its endpoint's settings",
    options: INIT_OPTIONS,
    positional: "folder",
    notes: ["A package.json that is there is completed, and nothing else that is there is written."],
    run: init,
  }),
  command({
    words: "dev",
    summary: "run the worker of this folder, and start it anew when a file changes",
    options: DEV_OPTIONS,
    positional: "folder",
    notes: [
      "With a broker it serves an endpoint of its own beside the deployed one, whose name ends with -dev; without one an endpoint on this machine.",
      "What it prints is kept in .waybill/dev.log: logs prints it. With --json each line is JSON.",
    ],
    run: dev,
  }),
  command({
    words: "logs",
    summary: "print what the worker of this folder has printed while dev ran it",
    options: LOGS_OPTIONS,
    positional: "folder",
    run: logs,
  }),
];

async function init({ options }: CommandCall<typeof INIT_OPTIONS>): Promise<Shown> {
  const { folder = ".", name, language } = options;
  const made = await initProject({ folder, name, language });
  const path = relative(process.cwd(), made.folder);
  const enter = path === "" ? "" : `cd ${shellWord(path.startsWith("..") ? made.folder : path)} && `;
  const next = [`${enter}npm install`, "npm test", "npx waybill dev"];
  const { files, notes } = made;
  const lines = [
    ...(files.length === 0 ? ["Everything is there already."] : files.map((file) => `made  ${file}`)),
    "",
    ...next,
  ];
  return { json: { ...made, next }, lines, notes };
}

async function dev({ options, api, place, isJson }: CommandCall<typeof DEV_OPTIONS>): Promise<null> {
  const folder = resolve(options.folder ?? ".");
  const { local: isLocal, port } = options;
  await runDev({ folder, api, isLocal, port, isJson, runLine: (endpoint) => runLine(folder, endpoint, place) });
  return null;
}

/** A line that runs a job, with the input that the folder has for a try. */
function runLine(folder: string, endpoint: string, place: Place): string {
  const file = join(folder, "test_input.json");
  const isHere = folder === process.cwd() && existsSync(file);
  const input = existsSync(file) ? ["--request", file] : ["--input", "{}"];
  return typedLine(["run", endpoint, ...(isHere ? [] : input)], place);
}

async function logs({ options, isJson }: CommandCall<typeof LOGS_OPTIONS>): Promise<null> {
  const { follow, lines: count, job } = options;
  const folder = resolve(options.folder ?? ".");
  const read = readLog(folder);
  if (read === null) throw new WrongUse(`there is no log in ${folder}: dev makes one`);
  const isMeant = (line: string) => job === undefined || line.includes(job);
  const print = (line: string) => console.log(isJson ? JSON.stringify({ line }) : readableLine(line));
  const meant = read.lines.filter(isMeant);
  for (const line of meant.slice(Math.max(0, meant.length - (count ?? meant.length)))) print(line);
  if (!follow) return null;
  const ended = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => ended.abort());
  for await (const line of followLog(folder, read, ended.signal)) if (isMeant(line)) print(line);
  return null;
}
