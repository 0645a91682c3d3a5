// The lock on a state folder: two brokers on one folder would overwrite each other's rows and lose usage lines. SQLite
// holds it: its lock ends with its process, however that ends, and exactly one of several that try at once gets it.
// The processes that it started outlive a kill -9 of their parent, so the folder also records their process group.
import { mkdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { isBeforeBoot, isGroupAlive, startOf } from "./dev-processes.ts";
import { readStateNote, type StateNote, stateNotePath } from "./state-note.ts";

export interface StateLock {
  /** Records the process group that works on the folder from now on. */
  noteGroup(leader: number): void;
  /** Releases the lock. A group that still has processes then keeps other starts out. */
  release(): void;
}

/** Takes the lock of a folder, which is made if need be, or throws a sentence on what to do instead. */
export function takeStateLock(folder: string, port: number): StateLock {
  mkdirSync(folder, { recursive: true });
  const notePath = stateNotePath(folder);
  const lock = tryLock(join(folder, "broker.lock"));
  const last = readStateNote(folder);
  if (lock === null) throw new Error(inUse(folder, last));
  if (last !== null && isServing(last)) {
    lock.close();
    throw new Error(leftBehind(folder, last));
  }
  let mine: StateNote = { pid: process.pid, port, group: null };
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

/** Null: another process has the lock. */
function tryLock(path: string): DatabaseSync | null {
  // A file that nothing else in this process opens, because closing it anywhere in the process would end the lock.
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

/**
 * A leader that began at another time has its number by chance: while a group lives, nobody else gets its number. A
 * restart of the machine ends all groups: a group of that number is then another, even if its leader cannot be checked.
 */
function isServing({ group }: StateNote): boolean {
  if (group === null || isBeforeBoot(group.since) || !isGroupAlive(group.leader)) return false;
  const since = startOf(group.leader);
  return since === null || group.since === null || since === group.since;
}

function inUse(folder: string, holder: StateNote | null): string {
  const who = holder === null ? "" : ` (process ${holder.pid}, http://127.0.0.1:${holder.port})`;
  return [
    `A broker runs on the state in ${realpathSync(folder)} already${who}.`,
    "Stop it with Ctrl-C where it was started, or start a second one with a state of its own:",
    "npm start -- --state DIR --port N",
  ].join("\n");
}

function leftBehind(folder: string, { pid, port, group }: StateNote): string {
  const leader = group?.leader ?? 0;
  return [
    `Processes of an earlier start still serve the state in ${realpathSync(folder)}`,
    `(process group ${leader}, http://127.0.0.1:${port}), though process ${pid}, which had started them, is gone.`,
    `End them with kill -9 -- -${leader} and start again, or start a second broker with a state of its own:`,
    "npm start -- --state DIR --port N",
  ].join("\n");
}
