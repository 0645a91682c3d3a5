// A worker from its start to its end: fitness checks, the prestart hook, the jobs, and a shutdown that finishes what was begun.
import { randomUUID } from "node:crypto";
import { readEnvironment, type Variables } from "./environment.ts";
import { fitToWork } from "./fit-to-work.ts";
import type { WorkerConfig } from "./handler.ts";
import { Heartbeat } from "./heartbeat.ts";
import { makeInputCheck } from "./input-check.ts";
import type { Log } from "./log.ts";
import { RELEASE } from "./release.ts";
import { reporterOf } from "./reporter.ts";
import type { JobLine } from "./run-job.ts";
import { WorkerApi } from "./worker-api.ts";
import { WorkerLoop } from "./worker-loop.ts";

/** Works until it is told to end; resolves with the exit code of the process. */
export async function runWorker(config: WorkerConfig, variables: Variables, log: Log): Promise<number> {
  const place = readEnvironment(variables, randomUUID());
  const check = makeInputCheck(config.input);
  const api = new WorkerApi(place, RELEASE);
  const fitness = await fitToWork(config, variables, log);
  if (!fitness.isFit) {
    const { unfit, code } = fitness;
    if (unfit !== null) await api.unfit(unfit.check, unfit.reason);
    return code;
  }
  const reporter = reporterOf(place.workerId, variables);
  const heartbeat = new Heartbeat(place, RELEASE, log);
  const { streamUrl } = place;
  const line: JobLine = {
    progress: (jobId, body) => api.done(jobId, body),
    chunk: streamUrl === null ? null : (jobId, body, number) => api.chunk(streamUrl(jobId), jobId, body, number),
  };
  const loop = new WorkerLoop({ config, check, api, place, line, reporter, log }, heartbeat);
  // The jobs that run go on to their end.
  void fitness.asked.then((reason) => {
    log.info("ends when its jobs are done", { reason, jobs: loop.runningIds.length });
    loop.drain();
  });
  log.info("the worker is ready", { worker: place.workerId });
  await loop.work();
  log.info("the worker has ended");
  return 0;
}
