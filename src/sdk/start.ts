// `start({ handler })`: what a worker's file ends with.
import { readFileSync } from "node:fs";
import { chooseMode, logLevelIn, TEST_FILE } from "./choose-mode.ts";
import type { WorkerConfig } from "./handler.ts";
import { type Log, makeLog, readLogOptions } from "./log.ts";
import { inputSchemaLine } from "./print-input-schema.ts";
import { runOnce } from "./run-once.ts";
import { runWorker } from "./run-worker.ts";

/**
 * Starts a worker and ends the process when it is done: with 0 after a shutdown, with 1 where it cannot work or where the one job of
 * `--test_input` has failed. Environment and arguments say what it does: RunPod's environment of a worker, which `npm run worker:env`
 * prints, makes it fetch its jobs; without that it serves an endpoint on this machine.
 */
export async function start<Input = unknown>(config: WorkerConfig<Input>): Promise<void> {
  try {
    // The input of each job is checked by the schema that gave the handler its type.
    process.exitCode = await work(config as WorkerConfig, process.argv.slice(2));
  } catch (error) {
    logTo(process.stdout).error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
  // A model may keep timers and threads that would keep the process alive.
  process.exit();
}

async function work(config: WorkerConfig, args: readonly string[]): Promise<number> {
  // In JavaScript nothing else tells of a name that is spelled wrong.
  if (typeof config.handler !== "function") throw new Error("start({ handler }): handler must be a function");
  const variables = process.env;
  const mode = chooseMode(args, variables, readTestFile);
  switch (mode.kind) {
    case "loop":
      return await runWorker(config, variables, logTo(process.stdout));
    case "serve": {
      // Loaded only here: a worker that fetches its jobs needs none of it.
      const { serveLocally } = await import("./local/serve.ts");
      return await serveLocally(mode, config, { variables, log: logTo(process.stdout) });
    }
    case "once":
      // What is printed is the job's result alone, for whatever program reads it.
      return await runOnce(mode.job, config, {
        variables,
        log: logTo(process.stderr),
        print,
      });
    case "input_schema":
      await print(inputSchemaLine(config.input));
      return 0;
  }
}

/** Resolves when the line is written: the process ends behind the last one. */
function print(line: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${line}\n`, () => resolve()));
}

function logTo(stream: NodeJS.WriteStream): Log {
  const level = logLevelIn(process.argv.slice(2));
  const variables = level === undefined ? process.env : { ...process.env, RUNPOD_LOG_LEVEL: level };
  return makeLog(readLogOptions(variables, (line) => stream.write(`${line}\n`)));
}

/** Null: there is none. */
function readTestFile(): string | null {
  try {
    return readFileSync(TEST_FILE, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
