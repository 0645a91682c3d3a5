// `serve(app)`: what the file of a load-balanced endpoint's worker ends with.
import { AppServer } from "./app-server.ts";
import type { Variables } from "./environment.ts";
import type { FetchHandler } from "./exchange.ts";
import { type Log, makeLog, readLogOptions } from "./log.ts";
import { readServePlace } from "./serve-place.ts";
import { outliveStrayFailures } from "./stray-failures.ts";
import { untilEnd } from "./until-end.ts";

/** A function that answers requests, or what has one as `fetch`, such as an app of Hono's. */
export type FetchApp = FetchHandler | { readonly fetch: FetchHandler };

export interface ServeOptions {
  /** `PORT` of the environment, else 80, unless it is given here. */
  readonly port?: number;
  /** Runs before the worker is ready, such as to load a model. If it fails the worker says so and ends with code 1. */
  readonly prestart?: () => unknown;
  /** How long requests may go on after SIGTERM: 330,000 ms, as long as RunPod lets one run. */
  readonly drainMs?: number;
}

const DRAIN_MAX_MS = 330_000;
/** How long one that cannot work waits for somebody to ask. */
const FAILED_MAX_MS = 10_000;

/**
 * Serves the app over HTTP until it is told to end, and ends the process: with 0 after a shutdown, with 1 where it
 * cannot work. `GET /ping` is answered here, as the load balancer asks it: 204 while it starts, 200 when it is ready,
 * 503 when it ends.
 */
export async function serve(app: FetchApp, options: ServeOptions = {}): Promise<void> {
  const log = makeLog(readLogOptions(process.env, (line) => process.stdout.write(`${line}\n`)));
  try {
    process.exitCode = await runServer(app, options, process.env, log);
  } catch (error) {
    log.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
  // A model may keep timers and threads that would keep the process alive.
  process.exit();
}

async function runServer(app: FetchApp, options: ServeOptions, variables: Variables, log: Log): Promise<number> {
  const { prestart, drainMs = DRAIN_MAX_MS } = options;
  const server = new AppServer(handlerOf(app), readServePlace(variables, options.port), log);
  outliveStrayFailures(log);
  const asked = untilEnd(variables);
  const port = await server.listen();
  log.info("the server starts", { port });
  const started = runHook(prestart);
  const first = await Promise.race([asked, started]);
  if (typeof first !== "string" && first.kind === "failed") {
    log.error("the worker cannot work", { check: "prestart", reason: first.reason });
    await server.fail(FAILED_MAX_MS);
    return 1;
  }
  if (typeof first !== "string") {
    server.ready();
    log.info("the server is ready", { port });
  }
  const reason = await asked;
  log.info("ends when its requests are done", { reason, requests: server.running });
  const cut = await server.drain(drainMs);
  if (cut > 0) log.warn("requests that took too long were cut off", { requests: cut });
  log.info("the server has ended");
  return 0;
}

function handlerOf(app: FetchApp): FetchHandler {
  return typeof app === "function" ? app : (request) => app.fetch(request);
}

type Started = { readonly kind: "ready" } | { readonly kind: "failed"; readonly reason: string };

async function runHook(prestart: ServeOptions["prestart"]): Promise<Started> {
  try {
    await prestart?.();
    return { kind: "ready" };
  } catch (error) {
    return { kind: "failed", reason: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
  }
}
