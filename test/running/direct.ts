// A built Worker in a workerd that clients speak to without the development proxy of `wrangler dev`: the proxy costs more than
// the broker, and hides from it that a client has gone.
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions as workerOptionsOf } from "wrangler";
import * as z from "zod";
import { wranglerCommand, wranglerEnvironment } from "../../src/cli/dev-database.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { takePort } from "./port.ts";

const HOST = "127.0.0.1";
/** Path of the broker's own configuration. */
export const BROKER_CONFIG = join(PROJECT_FOLDER, "wrangler.toml");
const bindingsSchema = z.record(z.string(), z.json()).default({});

/** A Worker that stands for itself: its configuration, the file that `buildWorker` made of it, and more variables. */
export interface BuiltWorker {
  readonly name: string;
  /** Path of its wrangler.toml. */
  readonly config: string;
  readonly file: string;
  readonly bindings: Readonly<Record<string, string>>;
  /** Any free one by default. */
  readonly port?: number;
}

export interface DirectWorkers {
  readonly miniflare: Miniflare;
  /** `http://127.0.0.1:PORT` of each Worker, in the order given. */
  readonly urls: readonly string[];
  /** Ends workerd. */
  stop(): Promise<void>;
}

/** Bundles a Worker as a deployment would, without deploying it; resolves with the path of the bundle, which has this name. */
export async function buildWorker(config: string, outFolder: string, name: string): Promise<string> {
  mkdirSync(outFolder, { recursive: true });
  const { file, args } = wranglerCommand(["deploy", "--dry-run", "--config", config, "--outdir", outFolder]);
  await promisify(execFile)(file, args, { cwd: PROJECT_FOLDER, env: wranglerEnvironment(outFolder) });
  return join(outFolder, name);
}

/** Runs Workers in one workerd, each on a socket of its own. `stateFolder` keeps D1, R2 and the objects. */
export async function startDirect(
  workers: readonly BuiltWorker[],
  { stateFolder, inspectorPort }: { readonly stateFolder: string; readonly inspectorPort?: number | undefined },
): Promise<DirectWorkers> {
  // The very Miniflare that wrangler depends on, wherever npm has put it.
  const wranglers = createRequire(createRequire(import.meta.url).resolve("wrangler"));
  const path = pathToFileURL(wranglers.resolve("miniflare")).href;
  const { Miniflare, NoOpLog, convertV4MiniflareOptions }: typeof import("miniflare") = await import(path);
  // It would warn that there are no secrets: they are among the given bindings.
  process.env.WRANGLER_LOG = "error";
  const entryPort = await takePort();
  const ports = await Promise.all(workers.map(({ port }) => port ?? takePort()));
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: HOST,
      port: entryPort,
      cf: false,
      log: new NoOpLog(),
      logRequests: false,
      // A deployed Worker's lines go to the platform's log; here only what went wrong is of interest.
      handleStructuredLogs: ({ level, message }) => {
        if (level === "error") console.error(message);
      },
      resourcePersistencePath: stateFolder,
      ...(inspectorPort === undefined ? {} : { inspectorPort }),
      workers: workers.map((worker, at) => toOptions(worker, ports[at] ?? 0)),
    }),
  );
  try {
    await miniflare.ready;
    const urls = ports.map((port) => `http://${HOST}:${port}`);
    return { miniflare, urls, stop: () => miniflare.dispose() };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}

function toOptions({ name, config, file, bindings }: BuiltWorker, port: number) {
  const { workerOptions } = workerOptionsOf(config);
  // With assets Miniflare puts a router and a proxy before the Worker, also on its own socket: 0.7 ms a call.
  const { assets: _, ...options } = workerOptions;
  return {
    ...options,
    name,
    modules: [{ type: "ESModule" as const, path: "index.js", contents: readFileSync(file, "utf8") }],
    unsafeDirectSockets: [{ host: HOST, port }],
    bindings: { ...bindingsSchema.parse(workerOptions.bindings), ...bindings },
  };
}
