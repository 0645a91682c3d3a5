// Runs one job of the command line: prints each chunk and the result as lines of JSON, and tells by its exit code how it went.
import type { Variables } from "./environment.ts";
import { checksOf, findUnfit } from "./fitness.ts";
import type { WorkerConfig } from "./handler.ts";
import { makeInputCheck } from "./input-check.ts";
import type { Log } from "./log.ts";
import { readChunk, readReport } from "./read-report.ts";
import { reporterOf } from "./reporter.ts";
import { type JobLine, runJob } from "./run-job.ts";
import { type HandedJob, TAKEN } from "./worker-api.ts";

interface OnceOptions {
  readonly variables: Variables;
  readonly log: Log;
  readonly print: (line: string) => Promise<void>;
}

/** Resolves with the exit code: 1 where the job has failed, or could not be run. */
export async function runOnce(job: HandedJob, config: WorkerConfig, options: OnceOptions): Promise<number> {
  const { variables, log, print } = options;
  const check = makeInputCheck(config.input);
  const unfit = await findUnfit(checksOf(config, variables));
  if (unfit !== null) {
    log.error("the worker cannot work", { check: unfit.check, reason: unfit.reason });
    return 1;
  }
  const chunks: string[] = [];
  const line: JobLine = {
    progress: async (_jobId, body) => log.of(job.id).info("progress", { output: readChunk(body) }),
    chunk: async (_jobId, body) => {
      await print(body);
      chunks.push(readChunk(body));
      return TAKEN;
    },
  };
  const reporter = reporterOf(variables.RUNPOD_POD_ID ?? "local", variables);
  // Nobody cancels it but by a signal, which ends the process.
  const { signal } = new AbortController();
  const ended = await runJob(job, { config, check, line, reporter, log: log.of(job.id), signal });
  if (ended === null) return 1;
  const { output, error } = readReport(ended, chunks);
  const parts = [
    ...(output === null ? [] : [`"output":${output}`]),
    ...(error === null ? [] : [`"error":${JSON.stringify(error)}`]),
  ];
  await print(`{${parts.join()}}`);
  return error === null ? 0 : 1;
}
