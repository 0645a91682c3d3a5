// One machine: the process of a worker, and what is shown of it before, while and after it runs.
import { randomUUID } from "node:crypto";
import type { HookAnswer, HookMachine, HookWorker } from "../../contract/fleet-hook.ts";
import { atTime } from "./at-time.ts";
import type { Keeper, Run } from "./keeper.ts";
import { GRACE_MS, type Program, type RunEnd } from "./keeper-messages.ts";

type Shown = HookAnswer["machines"][number];

export interface MachineParts {
  readonly endpointId: string;
  readonly name: string;
  /** What it is made of, also when it is started again. */
  readonly worker: HookWorker;
  readonly pricePerHour: number | null;
  /** The port that its worker is called at, which it keeps; null: it is not called. */
  readonly port: number | null;
  readonly keeper: Keeper;
  /** It has ended after it was given up, and is to be forgotten. */
  readonly gone: () => void;
}

/** A machine without a process. */
interface Rest {
  readonly status: "stopped" | "ended" | "failed";
  readonly detail: string | null;
}

/** Why its process was told to end. */
type Reason = "stopped" | "given up" | "time over";

export class Machine {
  readonly endpointId: string;
  readonly name: string;
  readonly worker: HookWorker;
  readonly #id = randomUUID();
  readonly #parts: MachineParts;
  #run: Run | null = null;
  #isStarted = false;
  #settled = Promise.withResolvers<void>();
  #reason: Reason | null = null;
  /** What is started when the process that is ending has ended. */
  #next: { readonly program: Program; readonly url: string | null } | null = null;
  #rest: Rest = { status: "stopped", detail: null };
  #url: string | null = null;
  #endsAtMs = 0;
  #forgetEnd = (): void => undefined;

  constructor(parts: MachineParts) {
    this.endpointId = parts.endpointId;
    this.name = parts.name;
    this.worker = parts.worker;
    this.#parts = parts;
  }

  /** It has a process, or there may be one. */
  get isAlive(): boolean {
    return this.#run !== null;
  }

  /** It is stopped, or is being stopped: to be running it has to be started. */
  get isStopping(): boolean {
    return this.#run === null ? this.#rest.status === "stopped" : this.#reason !== null && this.#reason !== "time over";
  }

  /** Resolves when its process runs, or could not be started. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** Its hard end, which may move while it lives. */
  setEnd({ endsAt }: HookMachine): void {
    this.#endsAtMs = Date.parse(endsAt);
    if (this.#run !== null) this.#watchEnd();
  }

  get port(): number | null {
    return this.#parts.port;
  }

  /** Starts it. Where its process is being ended, that is waited for. `url`: where it is called then. */
  start(program: Program, url: string | null): void {
    if (this.#run !== null) {
      this.#next = { program, url };
      return;
    }
    this.#url = url;
    this.#settled = Promise.withResolvers();
    if (Date.now() >= this.#endsAtMs) {
      this.#rest = TIME_OVER;
      this.#settled.resolve();
      return;
    }
    this.#reason = null;
    this.#isStarted = false;
    this.#run = this.#parts.keeper.start(program, {
      started: () => {
        this.#isStarted = true;
        this.#settled.resolve();
      },
      ended: (end) => this.#ended(end),
    });
    this.#watchEnd();
  }

  /** Ends its process, and keeps the machine. One that has failed before is stopped, too: it is started when it is to run again. */
  stop(): void {
    if (this.#run === null && this.#rest.status === "failed") this.#rest = { status: "stopped", detail: null };
    this.#endFor("stopped");
  }

  /** Ends its process, and forgets the machine then. */
  giveUp(): void {
    if (this.#run === null) this.#parts.gone();
    else this.#endFor("given up");
  }

  show(): Shown {
    const { name, pricePerHour } = this.#parts;
    const known = { name, id: this.#id, pricePerHour, url: this.#url };
    if (this.#run === null) return { ...known, ...this.#rest };
    return { ...known, status: this.#isStarted ? "running" : "creating", detail: null };
  }

  #endFor(reason: Reason): void {
    this.#next = null;
    if (this.#run === null) return;
    // A machine whose time is over has ended, also when it would have been stopped.
    if (this.#reason !== "time over" || reason === "given up") this.#reason = reason;
    // The hard end leaves no more time than there is.
    this.#run.end(Math.max(0, Math.min(GRACE_MS, this.#endsAtMs - Date.now())));
  }

  #watchEnd(): void {
    this.#forgetEnd();
    // Its grace is a part of its time.
    this.#forgetEnd = atTime(this.#endsAtMs - GRACE_MS, () => this.#endFor(this.#reason ?? "time over"));
  }

  #ended(end: RunEnd): void {
    this.#forgetEnd();
    this.#run = null;
    const next = this.#next;
    this.#next = null;
    this.#settled.resolve();
    if (next !== null) this.start(next.program, next.url);
    else if (this.#reason === "given up") this.#parts.gone();
    else this.#rest = restAfter(end, this.#reason);
  }
}

const TIME_OVER: Rest = { status: "ended", detail: "The time until its hard end is over." };

function restAfter(end: RunEnd, reason: Reason | null): Rest {
  if (reason === "time over") return TIME_OVER;
  if (reason === "stopped") return { status: "stopped", detail: null };
  const words = end.words === "" ? "." : `: ${end.words}`;
  switch (end.how) {
    case "exit":
      return { status: end.code === 0 ? "ended" : "failed", detail: `It has ended with code ${end.code}${words}` };
    case "signal":
      return { status: "failed", detail: `It was ended by ${end.signal}${words}` };
    case "not_started":
      return { status: "failed", detail: `It could not be started${words}` };
  }
}
