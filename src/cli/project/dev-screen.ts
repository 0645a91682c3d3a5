// What `dev` shows: the lines of the worker as they come, and its own sentences between them, or each of both as a line of JSON.
import { printable } from "../printable.ts";
import type { DevLog } from "./dev-log.ts";
import { readableLine } from "./log-line.ts";
import type { OutputStream } from "./worker-process.ts";

/** What has happened, by a name for scripts. */
type DevEvent = "attached" | "serving" | "started" | "changed" | "ended" | "waiting" | "note" | "stopped";

export class DevScreen {
  readonly #log: DevLog;
  readonly #isJson: boolean;

  constructor(log: DevLog, isJson: boolean) {
    this.#log = log;
    this.#isJson = isJson;
  }

  /** A line of the worker's. */
  printed(stream: OutputStream, line: string): void {
    this.#log.write(line);
    if (this.#isJson) this.#print({ event: "output", stream, line });
    else process[stream].write(`${readableLine(line)}\n`);
  }

  /** A sentence of dev's own, and for scripts what it is about. More lines go to a person's screen alone. */
  tell(event: DevEvent, sentence: string, fields: object = {}, more: readonly string[] = []): void {
    // What a broker has answered may be a part of it.
    const shown = `waybill: ${printable(sentence)}`;
    this.#log.write(shown);
    if (this.#isJson) this.#print({ event, ...fields, message: sentence });
    else process.stderr.write([shown, ...more, ""].join("\n"));
  }

  /** What scripts alone are told. */
  note(event: DevEvent, fields: object): void {
    if (this.#isJson) this.#print({ event, ...fields });
  }

  #print(event: object): void {
    process.stdout.write(`${JSON.stringify(event)}\n`);
  }
}
