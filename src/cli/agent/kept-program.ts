// One run of a program, from its start until nothing of it is left.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../core/failure.ts";
import { BoundedLog } from "../bounded-log.ts";
import { killSession } from "../dev-processes.ts";
import type { Program, RunEnd } from "./keeper-messages.ts";
import { LastWords } from "./last-words.ts";

const LOG_FILE_MAX_BYTES = 1024 * 1024;
/** For output that is still on its way when the program has ended. */
const OUTPUT_MAX_MS = 500;
/** A process that was killed is gone in some ms, unless the kernel holds it. */
const GONE_MAX_MS = 1_000;
const LOOK_EVERY_MS = 10;

/** Variables of every program, which would hide nothing but the places in its messages. */
const NO_SECRETS: readonly string[] = ["PATH", "HOME"];

export interface KeptProgram {
  /** Null: it could not be started. */
  readonly pid: number | null;
  /** Resolves when nothing of it is left. */
  readonly ended: Promise<RunEnd>;
  /** SIGTERM to the program, and SIGKILL to all that is left of it after so many ms. */
  end(graceMs: number): void;
}

/** Starts a program as the leader of a session of its own. */
export function keepProgram(program: Program): KeptProgram {
  const { file, args, cwd, env } = program;
  const output = new Output(program);
  let child: ChildProcess;
  try {
    child = spawn(file, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  } catch (error) {
    return notStarted(output.failedStart(error));
  }
  const { pid } = child;
  // What a failed start throws in one case, it emits in another one.
  if (pid === undefined) return notStarted(once(child, "error").then(([error]) => output.failedStart(error)));
  // A signal that cannot be delivered is one to a program that has ended.
  child.on("error", () => undefined);
  output.note(`process ${pid} has started`);
  let killing: { readonly atMs: number; readonly timer: NodeJS.Timeout } | null = null;
  const ended = endOf(child, pid, output).finally(() => clearTimeout(killing?.timer));
  return {
    pid,
    ended,
    end: (graceMs) => {
      const atMs = performance.now() + graceMs;
      if (killing === null) child.kill("SIGTERM");
      else if (killing.atMs <= atMs) return;
      clearTimeout(killing?.timer);
      killing = { atMs, timer: setTimeout(() => killSession(pid), graceMs) };
    },
  };
}

function notStarted(end: RunEnd | Promise<RunEnd>): KeptProgram {
  return { pid: null, ended: Promise.resolve(end), end: () => undefined };
}

async function endOf(child: ChildProcess, pid: number, output: Output): Promise<RunEnd> {
  const read = output.readFrom(child);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.once("exit", (...how) => resolve(how));
  });
  // What it has started, and left behind, ends with it, as in a container.
  const lastMs = performance.now() + GONE_MAX_MS;
  while (killSession(pid) && performance.now() < lastMs) await sleep(LOOK_EVERY_MS);
  await read();
  return output.end(code, signal);
}

/** What the program prints: all of it in its log, the end of its errors as its last words. */
class Output {
  readonly #program: Program;
  readonly #words = new LastWords();
  #log: BoundedLog | null = null;

  constructor(program: Program) {
    this.#program = program;
  }

  /** Returns what resolves when the rest has been read, or will not come. */
  readFrom({ stdout, stderr }: ChildProcess): () => Promise<void> {
    const streams = [stdout, stderr].filter((stream): stream is Readable => stream !== null);
    const closed = streams.map((stream) => once(stream, "close"));
    stdout?.on("data", (piece: Buffer) => this.#write(piece));
    stderr?.on("data", (piece: Buffer) => {
      this.#words.add(piece);
      this.#write(piece);
    });
    return async () => {
      await Promise.race([Promise.all(closed), sleep(OUTPUT_MAX_MS)]);
      for (const stream of streams) stream.destroy();
    };
  }

  note(sentence: string): void {
    this.#write(`waybill: ${sentence}\n`);
  }

  failedStart(error: unknown): RunEnd {
    this.#words.add(Buffer.from(messageOf(error)));
    const words = this.#read();
    this.note(`the program could not be started: ${words}`);
    return { how: "not_started", words };
  }

  end(code: number | null, signal: NodeJS.Signals | null): RunEnd {
    const words = this.#read();
    this.note(code === null ? `the program was ended by ${signal}` : `the program has ended with code ${code}`);
    return code === null ? { how: "signal", signal: String(signal), words } : { how: "exit", code, words };
  }

  #read(): string {
    const secrets = Object.entries(this.#program.env).filter(([name]) => !NO_SECRETS.includes(name));
    return this.#words.read(secrets.map(([, value]) => value));
  }

  /** A log that cannot be written, such as on a full disk, ends no worker. */
  #write(what: string | Buffer): void {
    try {
      this.#log ??= new BoundedLog(this.#program.log, LOG_FILE_MAX_BYTES);
      this.#log.write(what);
    } catch {
      // There is no other place to tell it.
    }
  }
}
