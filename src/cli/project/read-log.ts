// Reads the log of `dev`, and goes on reading while `dev` writes it.
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { logFiles } from "./dev-log.ts";

const LOOKS_EVERY_MS = 100;
const READ_BYTES = 64 * 1024;

export interface ReadLog {
  /** All that are kept, the oldest first. */
  readonly lines: readonly string[];
  /** The bytes of the newer file that are among them. */
  readonly bytes: number;
}

/** Null: there is no log. */
export function readLog(folder: string): ReadLog | null {
  const [older, newer] = logFiles(folder).map((file) => (existsSync(file) ? readFileSync(file, "utf8") : null));
  if (older === null && newer === null) return null;
  return { lines: [older, newer].flatMap((text) => linesOf(text ?? "")), bytes: Buffer.byteLength(newer ?? "") };
}

/** The lines that come behind those that were read, until `ended`. A file that takes the place of a full one is read from its beginning. */
export async function* followLog(folder: string, { bytes }: ReadLog, ended: AbortSignal): AsyncGenerator<string> {
  const [, path] = logFiles(folder);
  const reader = new LineReader(path, bytes);
  try {
    while (!ended.aborted) {
      yield* reader.read();
      await sleep(LOOKS_EVERY_MS, undefined, { signal: ended }).catch(() => undefined);
    }
  } finally {
    reader.close();
  }
}

class LineReader {
  readonly #path: string;
  readonly #decoder = new TextDecoder();
  #file: number;
  #at: number;
  #rest = "";

  constructor(path: string, at: number) {
    this.#path = path;
    this.#file = openSync(path, "r");
    this.#at = at;
  }

  /** What is there now. */
  *read(): Generator<string> {
    yield* this.#readFile();
    if (!isReplaced(this.#path, this.#file)) return;
    // What was written before the other file came.
    yield* this.#readFile();
    this.close();
    this.#file = openSync(this.#path, "r");
    this.#at = 0;
    yield* this.#readFile();
  }

  close(): void {
    closeSync(this.#file);
  }

  *#readFile(): Generator<string> {
    const buffer = Buffer.alloc(READ_BYTES);
    for (;;) {
      const count = readSync(this.#file, buffer, 0, READ_BYTES, this.#at);
      if (count === 0) return;
      this.#at += count;
      const lines = (this.#rest + this.#decoder.decode(buffer.subarray(0, count), { stream: true })).split("\n");
      this.#rest = lines.pop() ?? "";
      yield* lines;
    }
  }
}

function isReplaced(path: string, file: number): boolean {
  return existsSync(path) && statSync(path).ino !== fstatSync(file).ino;
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}
