// Serves a local endpoint until it is told to end.
import type { Variables } from "../environment.ts";
import { fitToWork } from "../fit-to-work.ts";
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
  const fitness = await fitToWork(config, variables, log);
  if (!fitness.isFit) return fitness.code;
  const reporter = reporterOf(variables.RUNPOD_POD_ID ?? "local", variables);
  const endpoint = new LocalEndpoint({ config, check, reporter, log });
  const server = await listen(
    place,
    { endpoint, repeats: new Repeats(endpoint), check: makeSchemaCheck(config, log) },
    log,
  );
  if (config.refreshWorker === true) log.warn("refreshWorker has no effect here: all jobs run in this process");
  log.info("serves an endpoint on this machine", { url: server.url });
  const reason = await fitness.asked;
  log.info("ends when its jobs are done", { reason, jobs: endpoint.runningCount });
  await endpoint.drain();
  await server.close();
  return 0;
}
