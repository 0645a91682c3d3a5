// The log of `dev`: what the worker has printed last.
import { join } from "node:path";
import { BoundedLog, olderLog } from "../bounded-log.ts";
import { ownFolder } from "./own-folder.ts";

const FILE_MAX_BYTES = 4 * 1024 * 1024;

/** The files of a worker's log, the older one first. They need not be there. */
export function logFiles(folder: string): readonly [older: string, newer: string] {
  const path = join(folder, ".waybill", "dev.log");
  return [olderLog(path), path];
}

export class DevLog {
  readonly #log: BoundedLog;

  constructor(folder: string) {
    ownFolder(folder);
    this.#log = new BoundedLog(logFiles(folder)[1], FILE_MAX_BYTES);
  }

  write(line: string): void {
    this.#log.write(`${line}\n`);
  }
}
