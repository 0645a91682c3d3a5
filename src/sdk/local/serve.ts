// Serves a local endpoint until a signal ends it.
import type { Variables } from "../environment.ts";
import { checksOf, findUnfit } from "../fitness.ts";
import type { WorkerConfig } from "../handler.ts";
import { makeInputCheck } from "../input-check.ts";
import type { Log } from "../log.ts";
import { reporterOf } from "../reporter.ts";
import { LocalEndpoint } from "./endpoint.ts";
import { makeSchemaCheck } from "./input-schema.ts";
import { Repeats } from "./repeats.ts";
import { listen } from "./server.ts";

interface ServeOptions {
  readonly variables: Variables;
  readonly log: Log;
}

/** Resolves with the exit code of the process. */
export async function serveLocally(
  place: { readonly host: string; readonly port: number },
  config: WorkerConfig,
  { variables, log }: ServeOptions,
): Promise<number> {
  const check = makeInputCheck(config.input);
  const unfit = await findUnfit(checksOf(config, variables));
  if (unfit !== null) {
    log.error("the worker cannot work", { check: unfit.check, reason: unfit.reason });
    return 1;
  }
  const ended = signalled();
  const reporter = reporterOf(variables.RUNPOD_POD_ID ?? "local", variables);
  const endpoint = new LocalEndpoint({ config, check, reporter, log });
  const server = await listen(
    place,
    { endpoint, repeats: new Repeats(endpoint), check: makeSchemaCheck(config, log) },
    log,
  );
  if (config.refreshWorker === true) log.warn("refreshWorker has no effect here: all jobs run in this process");
  log.info("serves an endpoint on this machine", { url: server.url });
  const signal = await ended;
  log.info("ends when its jobs are done", { signal, jobs: endpoint.runningCount });
  await endpoint.drain();
  await server.close();
  return 0;
}

/** Resolves with the first signal; a second one ends the process at once. */
function signalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let isEnding = false;
    const end = (signal: NodeJS.Signals) => {
      if (isEnding) process.exit(1);
      isEnding = true;
      resolve(signal);
    };
    process.on("SIGTERM", end);
    process.on("SIGINT", end);
  });
}
