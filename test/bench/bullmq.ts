// What the part `load` compares with: BullMQ on Redis behind Hono, three processes (redis-server, bullmq/http.mjs, bullmq/worker.mjs).
// Its packages are none of the project's: they are installed once into a folder of their own, in the versions named here.
import { execFile, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { isPortOpen } from "../../src/cli/dev-ports.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { waitFor } from "../../src/cli/wait-for.ts";
import { takePort } from "../running/port.ts";
import { endProcess, startProgram } from "./children.ts";
import { makeStateFolder } from "./harness.ts";

const PACKAGES = ["bullmq@6.7.0", "ioredis@6.0.0", "hono@4.13.19", "@hono/node-server@2.1.9"];
/** Named by the versions, so that others are installed anew. Kept, as the packages of conformance are. */
const FOLDER = join(PROJECT_FOLDER, ".waybill", "bench", PACKAGES.join("+").replaceAll("/", "-"));
const INSTALL_MAX_MS = 60_000;
const START_MAX_MS = 10_000;
const HOST = "127.0.0.1";
const run = promisify(execFile);

export interface BullMq {
  readonly url: string;
  /** Its three processes. */
  readonly pids: readonly number[];
  /** What runs, with versions. */
  readonly name: string;
  stop(): Promise<void>;
}

/** Starts all three, with jobs that go to this upstream; or why that is not possible here, as a sentence. Never throws. */
export async function startBullMq(upstreamUrl: string): Promise<BullMq | { readonly missing: string }> {
  const missing = (why: string) => ({ missing: `BullMQ is not measured: ${why}.` });
  const version = await redisVersion();
  if (version === null) return missing("redis-server is not in PATH");
  try {
    await install();
  } catch (error) {
    return missing(`npm could not install it (${firstLine(error)})`);
  }
  try {
    return await start(upstreamUrl, version);
  } catch (error) {
    return missing(`it did not start (${firstLine(error)})`);
  }
}

async function redisVersion(): Promise<string | null> {
  try {
    const { stdout } = await run("redis-server", ["--version"]);
    return /v=(\S+)/.exec(stdout)?.[1] ?? "of an unknown version";
  } catch {
    return null;
  }
}

async function install(): Promise<void> {
  const done = join(FOLDER, "installed");
  if (existsSync(done)) return;
  // What a broken installation has left.
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
  await run("npm", ["install", "--prefix", FOLDER, ...quiet, ...PACKAGES], { timeout: INSTALL_MAX_MS });
  mkdirSync(done);
}

async function start(upstreamUrl: string, redis: string): Promise<BullMq> {
  const state = makeStateFolder();
  const endings: (() => Promise<unknown>)[] = [async () => state.remove()];
  const stop = async (): Promise<void> => {
    for (const end of endings.splice(0).reverse()) await end();
  };
  try {
    const port = await takePort();
    // Each write reaches the disk, or what stands for it, before it is answered: the broker promises no less.
    const durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    const address = ["--bind", HOST, "--port", String(port), "--dir", state.folder];
    const server = spawn("redis-server", [...address, ...durable], { stdio: "ignore" });
    process.once("exit", () => server.kill("SIGKILL"));
    endings.push(() => endProcess(server));
    const isUp = await waitFor(async () => (await isPortOpen(port)) || undefined, Date.now() + START_MAX_MS);
    if (isUp !== true) throw new Error("redis-server did not start");
    const worker = await startProgram(copied("worker.mjs"), [String(port), upstreamUrl]);
    endings.push(() => endProcess(worker.child));
    const http = await startProgram(copied("http.mjs"), [String(port)]);
    endings.push(() => endProcess(http.child));
    const pids = [server, worker.child, http.child].map(({ pid }) => pid ?? 0);
    return { url: `http://${HOST}:${http.port}/runsync`, pids, name: `BullMQ 6.7.0, Redis ${redis}`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A program beside the packages that it imports. */
function copied(name: string): string {
  const path = join(FOLDER, name);
  copyFileSync(fileURLToPath(new URL(`bullmq/${name}`, import.meta.url)), path);
  return path;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
