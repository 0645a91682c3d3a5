// Everything that a run of the bench needs: the built broker and the floor in one workerd, the upstream in a process of its own.
// Clients speak to workerd itself: wrangler's development proxy costs more than the broker (docs/architecture.md, "Speed").
import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { unstable_getMiniflareWorkerOptions as workerOptionsOf } from "wrangler";
import { z } from "zod";
import { PROJECT_FOLDER, wranglerCommand, wranglerEnvironment } from "../../src/cli/dev-database.ts";
import { findFreePort } from "../../src/cli/dev-ports.ts";
import { makeSecrets, writeBook } from "./book.ts";

/** Addresses without a slash at the end. */
export interface Bench {
  readonly brokerUrl: string;
  readonly floorUrl: string;
  readonly upstreamUrl: string;
  /** A tenant's key with the scope `jobs`. */
  readonly key: string;
  /** Is the state in memory? Then a commit costs no write to a disk. */
  readonly inMemory: boolean;
  /** Ends every process and removes the state. */
  stop(): Promise<void>;
}

const MEMORY_FOLDER = "/dev/shm";
const HOST = "127.0.0.1";
const FLOOR_CONFIG = fileURLToPath(new URL("floor/wrangler.toml", import.meta.url));
const readySchema = z.object({ port: z.int() });
const bindingsSchema = z.record(z.string(), z.json()).default({});

/** Builds and starts all of it; takes a few seconds. `inspectorPort`: where V8's inspector is to listen. */
export async function startBench(options: { readonly inspectorPort?: number } = {}): Promise<Bench> {
  const inMemory = existsSync(MEMORY_FOLDER);
  const folder = mkdtempSync(join(inMemory ? MEMORY_FOLDER : tmpdir(), "waybill-bench-"));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  // Also where the program is broken off while this starts: what is left here is memory.
  process.once("exit", removeFolder);
  const endings: (() => Promise<unknown>)[] = [async () => removeFolder()];
  const stop = async (): Promise<void> => {
    for (const end of endings.splice(0).reverse()) await end();
  };
  try {
    await build(join(PROJECT_FOLDER, "wrangler.toml"), join(folder, "broker"));
    await build(FLOOR_CONFIG, join(folder, "floor"));
    const upstream = await startUpstream();
    endings.push(() => endProcess(upstream.child));
    const edge = await startEdge(folder, upstream.url, options.inspectorPort);
    endings.push(edge.stop);
    const { brokerUrl, floorUrl, key } = edge;
    return { brokerUrl, floorUrl, upstreamUrl: upstream.url, key, inMemory, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Bundles a Worker as a deployment would, without deploying it. */
async function build(config: string, outFolder: string): Promise<void> {
  mkdirSync(outFolder, { recursive: true });
  const { file, args } = wranglerCommand(["deploy", "--dry-run", "--config", config, "--outdir", outFolder]);
  await promisify(execFile)(file, args, { cwd: PROJECT_FOLDER, env: wranglerEnvironment(outFolder) });
}

async function startUpstream(): Promise<{ readonly url: string; readonly child: ChildProcess }> {
  const child = fork(fileURLToPath(new URL("upstream.ts", import.meta.url)));
  const ended = once(child, "exit").then(() => {
    throw new Error("the bench's upstream ended while it started");
  });
  const [message]: unknown[] = await Promise.race([once(child, "message"), ended]);
  return { url: `http://${HOST}:${readySchema.parse(message).port}`, child };
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** Runs both Workers in one workerd, each on a socket of its own, and fills the broker's database. */
async function startEdge(folder: string, upstreamUrl: string, inspectorPort: number | undefined) {
  // The very Miniflare that wrangler depends on, wherever npm has put it.
  const wranglers = createRequire(createRequire(import.meta.url).resolve("wrangler"));
  const path = pathToFileURL(wranglers.resolve("miniflare")).href;
  const { Miniflare, NoOpLog, convertV4MiniflareOptions }: typeof import("miniflare") = await import(path);
  const ports = { entry: await findFreePort(), broker: await findFreePort(), floor: await findFreePort() };
  const secrets = makeSecrets();
  // It would warn that there are no secrets: they are given below.
  process.env.WRANGLER_LOG = "error";
  const worker = (name: "broker" | "floor", config: string, given: Readonly<Record<string, string>>) => {
    const { workerOptions } = workerOptionsOf(config);
    const file = name === "broker" ? "index.js" : "worker.js";
    const contents = readFileSync(join(folder, name, file), "utf8");
    return {
      ...workerOptions,
      name,
      modules: [{ type: "ESModule" as const, path: file, contents }],
      unsafeDirectSockets: [{ host: HOST, port: ports[name] }],
      bindings: { ...bindingsSchema.parse(workerOptions.bindings), ...given },
    };
  };
  const brokerBindings = {
    PEPPER: secrets.pepper,
    ENCRYPTION_KEY: secrets.encryptionKey,
    ALLOW_PRIVATE_ADDRESSES: "yes",
  };
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: HOST,
      port: ports.entry,
      cf: false,
      log: new NoOpLog(),
      logRequests: false,
      // A deployed Worker's lines go to the platform's log; here only what went wrong is of interest.
      handleStructuredLogs: ({ level, message }) => {
        if (level === "error") console.error(message);
      },
      resourcePersistencePath: join(folder, "state"),
      ...(inspectorPort === undefined ? {} : { inspectorPort }),
      workers: [
        worker("broker", join(PROJECT_FOLDER, "wrangler.toml"), brokerBindings),
        worker("floor", FLOOR_CONFIG, { UPSTREAM_URL: upstreamUrl }),
      ],
    }),
  );
  try {
    await miniflare.ready;
    const key = await writeBook(await miniflare.getD1Database("DB", "broker"), secrets, upstreamUrl);
    const url = (port: number) => `http://${HOST}:${port}`;
    return { brokerUrl: url(ports.broker), floorUrl: url(ports.floor), key, stop: () => miniflare.dispose() };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}
