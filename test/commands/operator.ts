// An operator of a running broker: runs the commands as they are typed, and reads what the broker has stored.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { type RunningBroker, startBroker, type TestEndpoints } from "../running/broker.ts";

export interface Printed {
  readonly stdout: string;
  readonly stderr: string;
}

export type Environment = Readonly<Record<string, string>>;

/** Nothing of the person who runs the tests decides which broker is meant. */
const NOBODY: Environment = { WAYBILL_URL: "", WAYBILL_KEY: "", WAYBILL_PEPPER: "", WAYBILL_ENCRYPTION_KEY: "" };

/** Runs a command of src/cli with the node that runs this test; rejects with what it printed when it fails. */
export function runCommand(command: string, words: readonly string[], env: Environment = {}): Promise<Printed> {
  const args = [join(PROJECT_FOLDER, "src/cli", command), ...words];
  const running = promisify(execFile)(process.execPath, args, { env: { ...process.env, ...NOBODY, ...env } });
  // Not a terminal, and at its end: a command that asks for something gets no answer.
  running.child.stdin?.end();
  return running;
}

/** The same, with what it prints going to an open file as a shell's `>` does it. */
async function runInto(file: number, command: string, words: readonly string[], env: Environment): Promise<void> {
  const args = [join(PROJECT_FOLDER, "src/cli", command), ...words];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...NOBODY, ...env },
    stdio: ["ignore", file, "ignore"],
  });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
}

/** Reads the database file itself: starting wrangler for each look would take most of the time of a test. */
export function rowsIn(folder: string, sql: string): Record<string, unknown>[] {
  const place = join(folder, "v3", "d1", "miniflare-D1DatabaseObject");
  const file = readdirSync(place).find((name) => name.endsWith(".sqlite") && name !== "metadata.sqlite");
  const database = new DatabaseSync(join(place, file ?? ""), { readOnly: true });
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

export interface Operator {
  readonly broker: RunningBroker;
  /** Of the broker and its admin key; `env` may name others. */
  run(command: string, words: readonly string[], env?: Environment): Promise<Printed>;
  /** The words of npm run admin, apart by spaces. */
  admin(words: string, env?: Environment): Promise<Printed>;
  /** What it answers as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look at parts of answers of any shape
  json(words: string, env?: Environment): Promise<any>;
  runInto(file: number, command: string, words: readonly string[]): Promise<void>;
  rowsOf(sql: string): Record<string, unknown>[];
  stop(): Promise<void>;
}

/** Starts a broker with a tenant whose key has the scope admin, and with these endpoints. */
export async function startOperator(endpoints: TestEndpoints = {}): Promise<Operator> {
  const broker = await startBroker(endpoints);
  const place = { WAYBILL_URL: broker.url, WAYBILL_KEY: broker.key };
  const run: Operator["run"] = (command, words, env) => runCommand(command, words, { ...place, ...env });
  const admin: Operator["admin"] = (words, env) => run("waybill.ts", words.split(" "), env);
  return {
    broker,
    run,
    admin,
    json: async (words, env) => JSON.parse((await admin(`${words} --json`, env)).stdout),
    runInto: (file, command, words) => runInto(file, command, words, place),
    rowsOf: (sql) => rowsIn(broker.folder, sql),
    stop: () => broker.stop(),
  };
}
