// A worker from its start to its end: fitness checks, the prestart hook, the jobs, and a shutdown that finishes what was begun.
import { randomUUID } from "node:crypto";
import { readEnvironment, type Variables } from "./environment.ts";
import { checksOf, findUnfit } from "./fitness.ts";
import type { WorkerConfig } from "./handler.ts";
import { Heartbeat } from "./heartbeat.ts";
import { makeInputCheck } from "./input-check.ts";
import type { Log } from "./log.ts";
import { RELEASE } from "./release.ts";
import { reporterOf } from "./reporter.ts";
import type { JobLine } from "./run-job.ts";
import { WorkerApi } from "./worker-api.ts";
import { WorkerLoop } from "./worker-loop.ts";

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Works until a signal ends it; resolves with the exit code of the process. */
export async function runWorker(config: WorkerConfig, variables: Variables, log: Log): Promise<number> {
  const place = readEnvironment(variables, randomUUID());
  const check = makeInputCheck(config.input);
  const api = new WorkerApi(place, RELEASE);
  const unfit = await findUnfit(checksOf(config, variables));
  if (unfit !== null) {
    log.error("the worker cannot work", { check: unfit.check, reason: unfit.reason });
    await api.unfit(unfit.check, unfit.reason);
    return 1;
  }
  const reporter = reporterOf(place.workerId, variables);
  const heartbeat = new Heartbeat(place, RELEASE, log);
  const { streamUrl } = place;
  const line: JobLine = {
    progress: (jobId, body) => api.done(jobId, body),
    chunk: streamUrl === null ? null : (jobId, body, number) => api.chunk(streamUrl(jobId), jobId, body, number),
  };
  const loop = new WorkerLoop({ config, check, api, place, line, reporter, log }, heartbeat);
  const forget = drainOnSignal(loop, log);
  log.info("the worker is ready", { worker: place.workerId });
  await loop.work();
  forget();
  log.info("the worker has ended");
  return 0;
}

/** The first signal lets the running jobs end; a second one ends the process at once, and the jobs go to other workers. */
function drainOnSignal(loop: WorkerLoop, log: Log): () => void {
  let isDraining = false;
  const drain = (signal: NodeJS.Signals) => {
    if (isDraining) process.exit(1);
    isDraining = true;
    log.info("ends when its jobs are done", { signal, jobs: loop.runningIds.length });
    loop.drain();
  };
  for (const signal of SIGNALS) process.on(signal, drain);
  return () => {
    for (const signal of SIGNALS) process.off(signal, drain);
  };
}
