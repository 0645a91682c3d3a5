// Runs the worker of a folder while it is written, and starts it anew when a file changes.
import { messageOf } from "../../core/failure.ts";
import { type Api, Refusal } from "../api.ts";
import { Failed } from "../wrong-use.ts";
import { attachTo, revokeKeys } from "./dev-attached.ts";
import { DevInbox } from "./dev-inbox.ts";
import { serveHere } from "./dev-local.ts";
import { DevLog } from "./dev-log.ts";
import { DevNote } from "./dev-note.ts";
import type { DevPlace } from "./dev-place.ts";
import { DevRunner } from "./dev-runner.ts";
import { DevScreen } from "./dev-screen.ts";
import { type ProjectSettings, requireSettings, SETTINGS_FILE } from "./settings.ts";
import { watchFolder } from "./watch-folder.ts";
import { watchNpm } from "./watch-npm.ts";
import { workerFile } from "./worker-file.ts";

export interface DevOptions {
  readonly folder: string;
  /** The broker that is named; throws a sentence where none is. */
  readonly api: () => Promise<Api>;
  /** Serves on this machine, whatever broker there is. */
  readonly isLocal: boolean;
  /** Of the endpoint on this machine. */
  readonly port: number | undefined;
  readonly isJson: boolean;
  /** A line that runs a job of an endpoint. */
  readonly runLine: (endpoint: string) => string;
}

/** What all parts of one run share. */
interface Dev extends DevOptions {
  readonly settings: ProjectSettings;
  readonly note: DevNote;
  readonly screen: DevScreen;
  readonly inbox: DevInbox;
}

/** How long a broker may take to answer at all. */
const ANSWERS_MAX_MS = 4_000;
/** npm hands a Ctrl-C on to what has it from the terminal already. */
const SAME_SIGNAL_MS = 300;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Resolves when a signal has ended it. Throws a sentence where it cannot begin. */
export async function runDev(options: DevOptions): Promise<void> {
  const { folder } = options;
  const settings = requireSettings(folder);
  workerFile(folder, settings.worker);
  const note = new DevNote(folder);
  const screen = new DevScreen(new DevLog(folder), options.isJson);
  const inbox = new DevInbox();
  endWithOutput(inbox);
  const forgetNpm = watchNpm(() => inbox.noteEnd());
  const watched = watchFolder(folder, {
    changed: (names) => noteChanges(names, screen, inbox),
    fails: (sentence) => screen.tell("note", sentence),
  });
  try {
    await run({ ...options, settings, note, screen, inbox });
  } finally {
    forgetNpm();
    watched.close();
    note.close();
  }
}

async function run(dev: Dev): Promise<void> {
  const { folder, settings, screen, inbox } = dev;
  let runner: DevRunner | null = null;
  const forget = endOnSignal(inbox, () => runner?.kill());
  try {
    const place = await findPlace(dev);
    runner = new DevRunner({ place, inbox, screen, folder, worker: settings.worker });
    try {
      await runner.run();
    } finally {
      await place.end();
    }
    screen.tell("stopped", "the worker has ended, and dev with it");
  } finally {
    forget();
  }
}

/** The first signal ends all in order, and a second one of a person's at once. */
function endOnSignal(inbox: DevInbox, kill: () => void): () => void {
  let firstMs: number | null = null;
  const end = (signal: NodeJS.Signals) => {
    firstMs ??= performance.now();
    inbox.noteEnd();
    // A terminal that is closed sends it more than once, by the system and by its shell.
    if (signal === "SIGHUP" || performance.now() - firstMs <= SAME_SIGNAL_MS) return;
    kill();
    process.exit(1);
  };
  for (const signal of SIGNALS) process.on(signal, end);
  return () => {
    for (const signal of SIGNALS) process.off(signal, end);
  };
}

/** Nobody reads what is printed any more, such as at a terminal that is closed. Unnoticed, the error would end this at once. */
function endWithOutput(inbox: DevInbox): void {
  for (const output of [process.stdout, process.stderr]) output.on("error", () => inbox.noteEnd());
}

function noteChanges(names: readonly string[], screen: DevScreen, inbox: DevInbox): void {
  const [first = "", ...others] = names;
  const more = others.length === 0 ? "" : ` and ${others.length} more`;
  screen.tell("changed", `${first}${more} changed: the worker starts anew`, { files: names });
  if (names.includes(SETTINGS_FILE))
    screen.tell("note", `${SETTINGS_FILE} is read when dev begins: end it and begin again`);
  inbox.noteChange();
}

async function findPlace(dev: Dev): Promise<DevPlace> {
  const { settings, isLocal, note } = dev;
  if (settings.type === "LOAD_BALANCER") {
    return serveHere(dev, "its endpoint is load-balanced, and a broker elsewhere cannot call a worker on this machine");
  }
  if (isLocal) return serveHere(dev, "--local was given");
  const found = await findBroker(dev);
  if (!found.ok) return serveHere(dev, found.reason);
  await revokeKeys(found.api, note);
  return attachTo(found.api, dev);
}

type Found = { readonly ok: true; readonly api: Api } | { readonly ok: false; readonly reason: string };

/** Nobody has to wait for a broker to work on a handler. A key that is refused is a mistake of the person's, so that it is thrown. */
async function findBroker({ api }: DevOptions): Promise<Found> {
  try {
    const broker = await api();
    await broker.get("/v1/me", {}, ANSWERS_MAX_MS);
    return { ok: true, api: broker };
  } catch (error) {
    const isDown = error instanceof Refusal && error.status >= 500;
    if (!isDown && !(error instanceof Failed && error.ending === "unreachable")) throw error;
    return { ok: false, reason: messageOf(error) };
  }
}
