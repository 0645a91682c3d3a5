// `npm start` runs the broker, a real OCR worker, a webhook receiver and a first job through all of them on this
// machine. `--once` stops all after that job; `--scale-demo` shows workers that come and go instead; `--port N` chooses the broker's
// port, `--state DIR` its state folder.

import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { messageOf } from "../core/failure.ts";
import { makeApi } from "./api.ts";
import { applyMigrations } from "./dev-database.ts";
import { ensureEndpoint, ensureFirst } from "./dev-first.ts";
import { runFirstJob } from "./dev-job.ts";
import { takeStateLock } from "./dev-lock.ts";
import { BROKER_PORT, isPortFree, portInUse } from "./dev-ports.ts";
import { startReceiver } from "./dev-receiver.ts";
import { ensureDevSecrets } from "./dev-secrets.ts";
import { type DevServer, launchDevServer } from "./dev-server.ts";
import { startOcrWorker } from "./dev-worker.ts";
import { DEV_STATE_FOLDER, PROJECT_FOLDER } from "./folders.ts";
import { refuseSwallowed } from "./npm-words.ts";
import { makeOutputPrivate } from "./private-file.ts";
import { runScaleDemo } from "./scale-demo/demo.ts";
import { makeDemoState } from "./scale-demo/state.ts";

const print = (line: string): void => console.log(line);

/** The parts that were started, the newest last; they are stopped in the opposite order. */
const running: { stop(): Promise<void> }[] = [];
let stopping: Promise<void> | undefined;

function stopAll(): Promise<void> {
  stopping ??= (async () => {
    for (const part of running.reverse()) await part.stop();
  })();
  return stopping;
}

/** Keeps a part for `stopAll`. A part that came up while the others were being stopped is stopped at once. */
async function keep<T extends { stop(): Promise<void> }>(part: T): Promise<T> {
  if (stopping !== undefined) await part.stop();
  else running.push(part);
  return part;
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options === null) return print(HELP);
  const { port, once, "scale-demo": isDemo } = options;
  const lock = takeStateLock(options.state, port);
  // The lock is the first part, so that it is released last.
  running.push({ stop: async () => lock.release() });
  if (!(await isPortFree(port))) throw new Error(portInUse(port));
  const secrets = ensureDevSecrets(PROJECT_FOLDER);
  const state = isDemo ? makeDemoState(options.state) : options.state;
  print("Waybill starts on this machine; nothing leaves it.");
  print(`state       ${state}`);
  await applyMigrations(state);
  const first = await ensureFirst(state, secrets);
  const logFile = join(state, "broker.log");
  // Kept before the server is ready, so that a Ctrl-C meanwhile ends the server, too.
  const spawned = (server: DevServer) => {
    lock.noteGroup(server.pid);
    void keep(server);
  };
  const broker = await launchDevServer({ port, persistTo: state, logFile, spawned });
  print(`broker      ${broker.url} (its output is in ${logFile})`);
  const api = makeApi({ base: broker.url, key: first.key, keyFrom: `in ${state}` });
  if (isDemo) {
    await runScaleDemo({ api, tenantId: first.tenantId, state, keep: (started) => void keep(started), print });
    await stopAll();
    return print("stopped     everything that was started");
  }
  const { slug, endpointId, made, environment } = await ensureEndpoint(api, state, first);
  print(`endpoint    ${slug} (${endpointId}), ${made ? "made now with a tenant and a key" : "as before"}`);
  const workerLog = join(state, "worker.log");
  const worker = await startOcrWorker(api, {
    endpointId,
    environment,
    logFile: workerLog,
    spawned: (started) => void keep(started),
  });
  print(`worker      ${worker.id} fetches its jobs (OCR, one picture at a time; its output is in ${workerLog})`);
  const receiver = await keep(await startReceiver(first.webhookSecret));
  print(`receiver    ${receiver.url} (webhooks)`);
  writeFileSync(requestFileIn(state), JSON.stringify({ input: readInput() }));
  const body = JSON.stringify({ input: readInput(), webhook: receiver.url });
  const jobId = await runFirstJob({ brokerUrl: broker.url, key: first.key, slug, body, receiver, print });
  if (!once) return invite(broker.url, { key: first.key, slug }, jobId, state);
  await stopAll();
  print("stopped     everything that was started");
}

const HELP = `npm start -- [--once | --scale-demo] [--port N] [--state DIR]

--once: stop everything after the first job. --scale-demo: instead, show workers that come for forty jobs and go
again, check the bill, and stop; its state is the folder scale-demo in that of the state, made anew each time. Where
something else has that name, the demo does not start.
--port N: the broker's port (${BROKER_PORT}). --state DIR: the folder of the state (.waybill/dev), which serves one broker
at a time.`;

const OPTIONS = {
  help: { type: "boolean", default: false },
  port: { type: "string" },
  once: { type: "boolean", default: false },
  "scale-demo": { type: "boolean", default: false },
  state: { type: "string", default: DEV_STATE_FOLDER },
} as const;

/** Null: the person only asks for help. */
function readOptions() {
  refuseSwallowed("npm start", Object.keys(OPTIONS));
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) return null;
  const port = Number(values.port ?? BROKER_PORT);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Error("--port must be a number from 1 to 65535.");
  if (values.state === "") throw new Error("--state must be a folder.");
  return { ...values, port, state: resolve(values.state) };
}

/** The request of the first job, in a file, so that a person can send more like it. */
function requestFileIn(state: string): string {
  return join(state, "request.json");
}

/** The input of the first job: the example picture. */
function readInput(): { readonly image: string } {
  const picture = readFileSync(join(PROJECT_FOLDER, "examples", "ocr-worker", "picture.png"));
  return { image: picture.toString("base64") };
}

/** Prints how to go on by hand. */
function invite(
  url: string,
  first: { readonly key: string; readonly slug: string },
  jobId: string,
  state: string,
): void {
  makeOutputPrivate();
  const auth = `-H 'Authorization: Bearer ${first.key}'`;
  const body = `-H 'Content-Type: application/json' --data '@${requestFileIn(state)}'`;
  const ofState = state === DEV_STATE_FOLDER ? [] : ["", `npm run admin -- list --state '${state}'`];
  const lines = [
    "",
    `Waybill is up on ${url}. Your key: ${first.key}`,
    "Try these in another terminal; Ctrl-C here stops everything.",
    "",
    `curl -s -X POST ${url}/v2/${first.slug}/run ${auth} ${body}`,
    `curl -s ${url}/v2/${first.slug}/status/${jobId} ${auth}`,
    `curl -s -X POST ${url}/v2/${first.slug}/runsync ${auth} ${body}`,
    `curl -s '${url}/v1/usage?job=${jobId}' ${auth}`,
    ...ofState,
  ];
  for (const line of lines) print(line);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    stopAll().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
}

try {
  await main();
} catch (error) {
  // While a Ctrl-C stops the parts, the present step fails too, which need not be reported.
  if (stopping === undefined) {
    console.error(messageOf(error));
    process.exitCode = 1;
    await stopAll();
  }
}
