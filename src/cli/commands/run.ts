// Runs a job as a client does: submits it, shows what it does, and prints its output.
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { messageOf } from "../../core/failure.ts";
import { type Fields, fieldsOf, parseJson, textOf } from "../../core/json/value.ts";
import { followJob, followStream, submitJob } from "../follow-job.ts";
import { printable, printableLine } from "../printable.ts";
import { WrongUse } from "../wrong-use.ts";
import { type Command, type CommandCall, command, type Shown } from "./command.ts";
import { ENDPOINT_OR_OWN, endpointOf } from "./project-endpoint.ts";

/** The request of a worker's folder, in the form in which RunPod's SDK reads it, too. */
const TEST_FILE = "test_input.json";

const OPTIONS = {
  ...ENDPOINT_OR_OWN,
  input: { type: "text", value: "JSON", about: `the job's input (that of ${TEST_FILE} in this folder)` },
  request: {
    type: "text",
    value: "FILE",
    about: 'the whole request, such as {"input": {}, "policy": {}}; -: standard input',
  },
  stream: { type: "flag", about: "print each chunk when it comes" },
  detach: { type: "flag", about: "print the job's id and do not wait" },
} as const;

export const RUN_COMMAND: Command = command({
  words: "run",
  summary: "run a job and print its output; exit code 1 where it does not complete",
  options: OPTIONS,
  positional: "endpoint",
  notes: [
    "What the job does meanwhile goes to standard error. Ctrl-C ends the command and not the job: job cancel ID does.",
  ],
  run: runJob,
});

async function runJob({ api, options, isJson }: CommandCall<typeof OPTIONS>): Promise<Shown> {
  const { input, request, stream, detach } = options;
  const endpoint = endpointOf(options.endpoint);
  const body = readRequest(input, request);
  const broker = await api();
  const submitted = await submitJob(broker, endpoint, body, randomUUID());
  const jobId = textOf(submitted, "id");
  if (detach) return { json: submitted, lines: [jobId] };
  const tell = (line: string) => console.error(printableLine(line));
  tell(`job ${jobId}`);
  const followed = { api: broker, endpoint, jobId, tell };
  const ended = stream ? await followStream(followed, chunkPrinter(isJson)) : await followJob(followed);
  return shownEnd(ended, stream);
}

/** The text of a request's body. An input goes out as it was typed, whatever its numbers are. */
function readRequest(input: string | undefined, request: string | undefined): string {
  if (input !== undefined && request !== undefined) throw new WrongUse("--input or --request, not both");
  if (input !== undefined) {
    assertJson("--input", input);
    return `{"input":${input}}`;
  }
  if (request === undefined && !existsSync(TEST_FILE))
    throw new WrongUse(`--input is missing, and there is no ${TEST_FILE} here`);
  const [name, file] = request === undefined ? [TEST_FILE, TEST_FILE] : ["--request", request];
  const text = read(name, file);
  const fields = fieldsOf(assertJson(name, text));
  if (fields === null || !("input" in fields)) throw new WrongUse(`${name} must be a JSON object with input`);
  return text;
}

function read(name: string, file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new WrongUse(`${name} cannot be read: ${messageOf(error)}`);
  }
}

function assertJson(name: string, text: string): unknown {
  const value = parseJson(text);
  if (value === undefined) throw new WrongUse(`${name} is not JSON`);
  return value;
}

/** Texts follow each other as they are, so that a stream of tokens reads as a text; every other chunk is a line of JSON. */
function chunkPrinter(isJson: boolean): (output: unknown) => void {
  return (output) => {
    const isText = typeof output === "string" && !isJson;
    process.stdout.write(isText ? printable(output) : `${printableLine(JSON.stringify(output))}\n`);
  };
}

/** Chunks are printed by then. */
function shownEnd(job: Fields, wasStream: boolean): Shown {
  const status = textOf(job, "status");
  const isBad = status !== "COMPLETED";
  const error = textOf(job, "error");
  return {
    json: wasStream ? { id: job.id, status } : job,
    lines: isBad || wasStream ? [] : outputLines(job.output),
    notes: isBad ? [`${status}${error === "" ? "" : `: ${error}`}`] : timesOf(job),
    isBad,
  };
}

function outputLines(output: unknown): string[] {
  if (output === undefined) return [];
  return (typeof output === "string" ? output : JSON.stringify(output, null, 2)).split("\n");
}

function timesOf({ delayTime, executionTime }: Fields): string[] {
  return [`COMPLETED after ${String(delayTime)} ms in the queue and ${String(executionTime)} ms on a worker`];
}
