// Asks the worker of a folder for its input schema, which it prints when it is started with an argument of its own
// (src/sdk/print-input-schema.ts): the schema is code, so that nothing but the worker can tell it.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import * as z from "zod";
import { messageOf } from "../../core/failure.ts";
import { type Fields, parseJson } from "../../core/json/value.ts";
import { compileSchema } from "../../core/schema/compile.ts";
import { Failed } from "../wrong-use.ts";
import { workerEnvironment, workerFile } from "./worker-file.ts";
import { LEASHED } from "./worker-process.ts";

export interface SchemaOptions {
  /** Variables of the worker, which its file may read. */
  readonly env?: Readonly<Record<string, string>>;
  /** Is called with a sentence where the worker has a schema that no endpoint can have. Without it the sentence goes to standard error. */
  readonly note?: (sentence: string) => void;
  /** How long the worker may take, whose file may load a model. */
  readonly maxMs?: number;
  /** Ends the worker, and with it this, when nobody waits for the answer any more. */
  readonly signal?: AbortSignal;
}

const ARGUMENT = "--waybill_input_schema";
const MAX_MS = 60_000;
/** A worker may print something without a line break before. */
const BEGINNING = '{"inputSchema":';
/** Of what a worker prints instead, the lines that a person is shown. */
const SHOWN_LINES = 20;

const answerSchema = z.object({
  inputSchema: z.record(z.string(), z.unknown()).nullable(),
  problem: z.string().optional(),
});
type Answer = z.infer<typeof answerSchema>;

/**
 * The JSON Schema of the inputs of a worker, by its file below the folder; null: it takes any input, or no endpoint could check by its schema,
 * which is noted. Throws a sentence, with what the worker has printed, where it tells none.
 */
export async function readInputSchema(
  folder: string,
  worker: string,
  options: SchemaOptions = {},
): Promise<Fields | null> {
  const { env = {}, note = console.error, maxMs = MAX_MS, signal } = options;
  const child = spawn(process.execPath, [...LEASHED, workerFile(folder, worker), ARGUMENT], {
    cwd: folder,
    env: workerEnvironment(env),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const giveUp = () => end(child);
  const timer = setTimeout(giveUp, maxMs);
  signal?.addEventListener("abort", giveUp);
  try {
    const { inputSchema, problem } = await answerOf(child, worker, maxMs);
    const reason = problem ?? problemOf(inputSchema);
    if (reason === null) return inputSchema;
    note(`the input schema of ${worker} cannot be the endpoint's, so that the worker alone checks inputs: ${reason}`);
    return null;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
    end(child);
  }
}

/** Why no endpoint checks by a schema; null: one does. */
function problemOf(schema: Fields | null): string | null {
  const compiled = schema === null ? null : compileSchema(JSON.stringify(schema));
  return compiled === null || compiled.ok ? null : `${compiled.problem.place} ${compiled.problem.message}`;
}

/** Lets go of its output, too, which a process that it has started may keep open. */
function end(child: ChildProcess): void {
  child.kill("SIGKILL");
  child.stdout?.destroy();
  child.stderr?.destroy();
}

function answerOf(child: ChildProcess, worker: string, maxMs: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const printed: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on("line", (line) => {
        const answer = readAnswer(line);
        if (answer !== null) resolve(answer);
        printed.push(line);
        if (printed.length > SHOWN_LINES) printed.shift();
      });
    }
    const fail = (what: string) =>
      reject(new Failed("failed", [`${worker} printed no input schema: ${what}`, ...printed].join("\n")));
    child.on("error", (error) => fail(messageOf(error)));
    child.on("close", (code, signal) => {
      if (code === 0) fail("it has to end with await start({ handler }) of waybill/worker");
      else if (signal === "SIGKILL") fail(`it had ${maxMs / 1_000} s`);
      else fail(`it ended with ${code === null ? signal : `code ${code}`}`);
    });
  });
}

/** Null: the line is something else of the worker's. */
function readAnswer(line: string): Answer | null {
  const at = line.indexOf(BEGINNING);
  const read = at < 0 ? null : answerSchema.safeParse(parseJson(line.slice(at)));
  return read?.success === true ? read.data : null;
}
