// Where the output of machines is kept: one log for each of them, and those of the newest machines alone.
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { olderLog } from "../bounded-log.ts";

/** Two files of 1 MiB each at most belong to a machine. */
const MACHINES_KEPT = 100;

export class LogFolder {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  /** The path of a machine's log. Makes room for it: a log that was written longest ago is deleted if there are too many. */
  pathOf(name: string): string {
    const path = join(this.#folder, `${name}.log`);
    const others = readdirSync(this.#folder)
      .filter((file) => /^wb-.*\.log$/.test(file))
      .map((file) => join(this.#folder, file))
      .filter((file) => file !== path);
    const surplus = others.length + 1 - MACHINES_KEPT;
    if (surplus <= 0) return path;
    const writtenMs = (file: string) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    for (const file of others.toSorted((one, other) => writtenMs(one) - writtenMs(other)).slice(0, surplus)) {
      for (const half of [file, olderLog(file)]) rmSync(half, { force: true });
    }
    return path;
  }
}
