// A log of a bounded size: two files, of which the older one is given up when the newer is full.
import { appendFileSync, chmodSync, existsSync, renameSync, statSync } from "node:fs";

/** What a worker prints may be about its tenants. */
const OWNER_ONLY = 0o600;

/** The file that was full last, which need not be there. */
export function olderLog(path: string): string {
  return `${path}.1`;
}

export class BoundedLog {
  readonly #path: string;
  readonly #fileMaxBytes: number;
  #bytes: number;

  /** Goes on where the file at the path ends. Each of the two files has at most `fileMaxBytes`. */
  constructor(path: string, fileMaxBytes: number) {
    this.#path = path;
    this.#fileMaxBytes = fileMaxBytes;
    this.#bytes = existsSync(path) ? statSync(path).size : 0;
    if (this.#bytes > 0) chmodSync(path, OWNER_ONLY);
  }

  write(what: string | Uint8Array): void {
    const bytes = typeof what === "string" ? Buffer.from(what) : what;
    if (this.#bytes > 0 && this.#bytes + bytes.length > this.#fileMaxBytes) {
      // Somebody may have deleted it.
      if (existsSync(this.#path)) renameSync(this.#path, olderLog(this.#path));
      this.#bytes = 0;
    }
    appendFileSync(this.#path, bytes, { mode: OWNER_ONLY });
    this.#bytes += bytes.length;
  }
}
