// The lock on a state folder: two brokers on one folder overwrite each other's rows, and usage lines are lost. SQLite holds it,
// because its lock ends with the process that has it, however that ends, and is taken by one of any number that ask at once.
// What was started outlives a kill -9 of its parent, so the folder also says which process group that is.
import { mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { isBeforeBoot, isGroupAlive, startOf } from "./dev-processes.ts";

const holderSchema = z.object({
  /** The process that took the lock. */
  pid: z.int(),
  port: z.int(),
  /** What it started: the leader of a process group, and when that began, as `startOf` tells; null: nothing yet. */
  group: z.object({ leader: z.int(), since: z.string().nullable() }).nullable(),
});
type Holder = z.infer<typeof holderSchema>;

export interface StateLock {
  /** Notes the process group that works on the folder from now on. */
  noteGroup(leader: number): void;
  /** What of the group is still there then keeps others out. */
  release(): void;
}

/** Takes the lock of a folder, which is made if need be, or throws what to do instead. */
export function takeStateLock(folder: string, port: number): StateLock {
  mkdirSync(folder, { recursive: true });
  const notePath = notePathOf(folder);
  const lock = tryLock(join(folder, "broker.lock"));
  const last = readHolder(notePath);
  if (lock === null) throw new Error(inUse(folder, last));
  if (last !== null && isServing(last)) {
    lock.close();
    throw new Error(leftBehind(folder, last));
  }
  let mine: Holder = { pid: process.pid, port, group: null };
  const note = () => writeFileSync(notePath, JSON.stringify(mine));
  note();
  return {
    noteGroup: (leader) => {
      mine = { ...mine, group: { leader, since: startOf(leader) } };
      note();
    },
    release: () => {
      if (!isServing(mine)) rmSync(notePath, { force: true });
      lock.close();
    },
  };
}

/** The port of the broker that has the folder, or had it last without a proper end; null: there is none. */
export function portOfState(folder: string): number | null {
  return readHolder(notePathOf(folder))?.port ?? null;
}

/** Null: another process has it. */
function tryLock(path: string): DatabaseSync | null {
  // A file of its own, which nothing else in this process opens: to close it anywhere would end the lock.
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database.close();
    if (error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY) return null;
    throw error;
  }
}

const SQLITE_BUSY = 5;

function notePathOf(folder: string): string {
  return join(folder, "broker.json");
}

/** Null: there is no note, or it was cut off while it was written. */
function readHolder(path: string): Holder | null {
  try {
    return holderSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return null;
  }
}

/**
 * A leader that began at another time has its number by chance; while a group is left, nobody else gets its number. A start of the
 * machine ends them all, after which a group of that number is another one, also where its leader cannot be asked any more.
 */
function isServing({ group }: Holder): boolean {
  if (group === null || isBeforeBoot(group.since) || !isGroupAlive(group.leader)) return false;
  const since = startOf(group.leader);
  return since === null || group.since === null || since === group.since;
}

function inUse(folder: string, holder: Holder | null): string {
  const who = holder === null ? "" : ` (process ${holder.pid}, http://127.0.0.1:${holder.port})`;
  return [
    `A broker runs on the state in ${realpathSync(folder)} already${who}.`,
    "Stop it with Ctrl-C where it was started, or start a second one with a state of its own:",
    "npm start -- --state DIR --port N",
  ].join("\n");
}

function leftBehind(folder: string, { pid, port, group }: Holder): string {
  const leader = group?.leader ?? 0;
  return [
    `Processes of an earlier start still serve the state in ${realpathSync(folder)}`,
    `(process group ${leader}, http://127.0.0.1:${port}), though process ${pid}, which had started them, is gone.`,
    `End them with kill -9 -- -${leader} and start again, or start a second broker with a state of its own:`,
    "npm start -- --state DIR --port N",
  ].join("\n");
}
