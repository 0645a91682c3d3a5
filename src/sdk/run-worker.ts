// A worker from its start to its end: fitness checks, the prestart hook, the jobs, and a shutdown that finishes what was begun.
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { readEnvironment, type Variables } from "./environment.ts";
import { type FitnessCheck, findUnfit } from "./fitness.ts";
import type { WorkerConfig } from "./handler.ts";
import { Heartbeat } from "./heartbeat.ts";
import { makeInputCheck } from "./input-check.ts";
import type { Log } from "./log.ts";
import { RELEASE } from "./release.ts";
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
  const reporter = {
    workerId: place.workerId,
    hostname: variables.RUNPOD_POD_HOSTNAME ?? hostname(),
    release: RELEASE,
  };
  const heartbeat = new Heartbeat(place, RELEASE, log);
  const loop = new WorkerLoop({ config, check, api, place, reporter, log }, heartbeat);
  const forget = drainOnSignal(loop, log);
  log.info("the worker is ready", { worker: place.workerId });
  await loop.work();
  forget();
  log.info("the worker has ended");
  return 0;
}

/** The prestart hook is the last check: a worker whose model cannot be loaded is no fitter than one without a GPU. */
function checksOf({ fitnessChecks = {}, prestart }: WorkerConfig, variables: Variables): Record<string, FitnessCheck> {
  const isSkipped = variables.RUNPOD_SKIP_AUTO_SYSTEM_CHECKS === "true";
  return { ...(isSkipped ? {} : fitnessChecks), ...(prestart === undefined ? {} : { prestart }) };
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
