// Runs the broker on this machine under `wrangler dev`, in a process group of its own, and stops all of it again.
// wrangler's children outlive a kill of wrangler alone, so every signal goes to the group.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { wranglerCommand, wranglerEnvironment } from "./dev-database.ts";
import { isPortFree, isPortOpen, portInUse } from "./dev-ports.ts";
import { isGroupAlive, signalGroup } from "./dev-processes.ts";
import { PROJECT_FOLDER } from "./folders.ts";
import { waitFor } from "./wait-for.ts";

export interface DevServerOptions {
  readonly port: number;
  /** Folder that holds the state: D1, R2, Queues and Durable Objects. */
  readonly persistTo: string;
  /** File for the output of wrangler; by default it is in `persistTo`. */
  readonly logFile?: string;
  /** The port of V8's inspector; 0, the default, lets wrangler choose. */
  readonly inspectorPort?: number;
  /** Variables of the Worker in addition to those in wrangler.toml. */
  readonly vars?: Readonly<Record<string, string>>;
  /** Called with the server as soon as its processes exist; they may end before they are ready. */
  readonly spawned?: (server: DevServer) => void;
}

export interface DevServer {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Leader of the process group. */
  readonly pid: number;
  readonly logFile: string;
  /** Ends the group by SIGTERM, then by force. Resolves when no process is left and the port is closed. */
  stop(): Promise<void>;
  /** Sends `kill -9` to the group, like a crash. Resolves when no process is left and the port is closed. */
  kill9(): Promise<void>;
}

const READY_MAX_MS = 60_000;
const POLITE_STOP_MAX_MS = 5_000;
const GONE_MAX_MS = 15_000;

/** The same for a folder whose migrations are applied already, such as at a restart after a kill. */
export async function launchDevServer(options: DevServerOptions): Promise<DevServer> {
  const { port, persistTo } = options;
  if (!(await isPortFree(port))) throw new Error(portInUse(port));
  const logFile = options.logFile ?? join(persistTo, "broker.log");
  const child = spawnWrangler(options, logFile);
  const { pid } = child;
  if (pid === undefined) throw new Error("The broker cannot start: wrangler could not be run (is `npm ci` done?).");
  const server: DevServer = {
    url: `http://127.0.0.1:${port}`,
    pid,
    logFile,
    stop: async () => {
      signalGroup(pid, "SIGTERM");
      if (!(await isGone(pid, port, POLITE_STOP_MAX_MS))) await killGroup(pid, port);
    },
    kill9: () => killGroup(pid, port),
  };
  options.spawned?.(server);
  try {
    await waitUntilReady(server.url, child, logFile);
  } catch (error) {
    await killGroup(pid, port);
    throw error;
  }
  return server;
}

function spawnWrangler(options: DevServerOptions, logFile: string): ChildProcess {
  mkdirSync(dirname(logFile), { recursive: true });
  const log = openSync(logFile, "a");
  const publicUrl = `http://127.0.0.1:${options.port}`;
  const vars = { ALLOW_PRIVATE_ADDRESSES: "yes", PUBLIC_URL: publicUrl, ...options.vars };
  const flags = ["--port", String(options.port), "--ip", "127.0.0.1"];
  flags.push("--inspector-port", String(options.inspectorPort ?? 0));
  flags.push("--persist-to", options.persistTo, "--show-interactive-dev-session=false");
  for (const [name, value] of Object.entries(vars)) flags.push("--var", `${name}:${value}`);
  const { file, args } = wranglerCommand(["dev", ...flags]);
  return spawn(file, args, {
    cwd: PROJECT_FOLDER,
    env: wranglerEnvironment(options.persistTo),
    stdio: ["ignore", log, log],
    detached: true,
  });
}

/** Resolves when GET /healthz answers 200. A 500 means a wrong setting, and its body is the sentence to show. */
async function waitUntilReady(url: string, child: ChildProcess, logFile: string): Promise<void> {
  const ready = await waitFor(async () => {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`The broker ended while it started. The end of ${logFile}:\n${tail(logFile)}`);
    }
    const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(5_000) }).catch(() => null);
    if (response?.status === 500) throw new Error(`The broker refuses to work: ${await response.text()}`);
    return response?.ok === true || undefined;
  }, Date.now() + READY_MAX_MS);
  if (ready) return;
  throw new Error(
    `The broker did not answer within ${READY_MAX_MS / 1_000} s. The end of ${logFile}:\n${tail(logFile)}`,
  );
}

async function killGroup(pid: number, port: number): Promise<void> {
  signalGroup(pid, "SIGKILL");
  if (await isGone(pid, port, GONE_MAX_MS)) return;
  throw new Error(`Processes of group ${pid} or the listener on port ${port} are still there after a kill.`);
}

/** Waits until no process of the group is left and the port is closed. False: something is left after `maxMs`. */
async function isGone(pid: number, port: number, maxMs: number): Promise<boolean> {
  const look = async () => (isGroupAlive(pid) || (await isPortOpen(port)) ? undefined : true);
  return (await waitFor(look, Date.now() + maxMs)) ?? false;
}

function tail(file: string): string {
  return readFileSync(file, "utf8").trimEnd().split("\n").slice(-25).join("\n");
}
