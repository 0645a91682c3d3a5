// The log of `dev`: what the worker has printed last, in two files of a bounded size, of which the older one is given up when the newer is full.
import { appendFileSync, chmodSync, existsSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { ownFolder } from "./own-folder.ts";

const FILE_MAX_BYTES = 4 * 1024 * 1024;
/** What a worker prints may be about its tenants. */
const OWNER_ONLY = 0o600;

/** The files of a worker's log, the older one first. They need not be there. */
export function logFiles(folder: string): readonly [older: string, newer: string] {
  const path = join(folder, ".waybill", "dev.log");
  return [`${path}.1`, path];
}

export class DevLog {
  readonly #older: string;
  readonly #newer: string;
  #bytes: number;

  constructor(folder: string) {
    ownFolder(folder);
    [this.#older, this.#newer] = logFiles(folder);
    this.#bytes = existsSync(this.#newer) ? statSync(this.#newer).size : 0;
    if (this.#bytes > 0) chmodSync(this.#newer, OWNER_ONLY);
  }

  write(line: string): void {
    const text = `${line}\n`;
    const bytes = Buffer.byteLength(text);
    if (this.#bytes > 0 && this.#bytes + bytes > FILE_MAX_BYTES) {
      renameSync(this.#newer, this.#older);
      this.#bytes = 0;
    }
    appendFileSync(this.#newer, text, { mode: OWNER_ONLY });
    this.#bytes += bytes;
  }
}
