// All machines of this agent: brings those of an endpoint to the state that a request wants, and shows what there is.
import { setTimeout as sleep } from "node:timers/promises";
import type { HookAnswer, HookMachine, HookRequest, HookWorker } from "../../contract/fleet-hook.ts";
import { findFreePort } from "../dev-ports.ts";
import type { AgentConfig } from "./config.ts";
import type { Keeper } from "./keeper.ts";
import type { LogFolder } from "./log-folder.ts";
import { Machine } from "./machine.ts";
import { type OwnVariables, type Planned, planProgram, priceOf } from "./plan-program.ts";

type Refused = NonNullable<HookAnswer["refused"]>[number];

export interface MachinesOptions {
  readonly config: AgentConfig;
  readonly own: OwnVariables;
  readonly keeper: Keeper;
  readonly logs: LogFolder;
  /** Processes at once. */
  readonly max: number;
}

/** A start takes some ms. An answer that would come later shows the machine as `creating`. */
const STARTED_MAX_MS = 2_000;

export class Machines {
  readonly #options: MachinesOptions;
  readonly #machines = new Map<string, Machine>();
  /** Those of machines that are called, whether their worker listens already or not. */
  readonly #ports = new Set<number>();

  constructor(options: MachinesOptions) {
    this.#options = options;
  }

  /** Begins all that is to be done, and resolves when new processes run. Ends go on behind the answer. */
  async apply(request: HookRequest): Promise<HookAnswer> {
    const wanted = new Set(request.machines.map(({ name }) => name));
    for (const machine of this.#of(request.endpointId)) if (!wanted.has(machine.name)) machine.giveUp();
    const ports = await this.#pickPorts(request);
    const refused = request.machines.flatMap((machine) => this.#bring(machine, request, ports) ?? []);
    for (const [name, port] of ports) if (!this.#machines.has(name)) this.#ports.delete(port);
    const begun = this.#of(request.endpointId).map(({ settled }) => settled);
    await Promise.race([Promise.all(begun), sleep(STARTED_MAX_MS, undefined, { ref: false })]);
    return { machines: this.#of(request.endpointId).map((machine) => machine.show()), refused };
  }

  #of(endpointId: string): Machine[] {
    return [...this.#machines.values()].filter((machine) => machine.endpointId === endpointId);
  }

  /** What is refused of one machine; null: nothing. */
  #bring(wanted: HookMachine, request: HookRequest, ports: ReadonlyMap<string, number>): Refused | null {
    const there = this.#machines.get(wanted.name);
    there?.setEnd(wanted);
    if (wanted.state === "stopped") {
      there?.stop();
      return null;
    }
    // A machine whose process has ended by itself is started again only when that is what was asked for.
    const isAsked = request.operation === "start" && request.machine === wanted.name && there?.isAlive === false;
    if (there !== undefined && !there.isStopping && !isAsked) return null;
    const worker = there?.worker ?? request.worker;
    if (worker === null) return refusal(wanted, "bad_config", "worker is null, and the machine is not there.");
    const port = there === undefined ? (ports.get(wanted.name) ?? null) : there.port;
    const planned = this.#plan(worker, wanted, port);
    if (!planned.ok) return refusal(wanted, "bad_config", planned.detail);
    const { max } = this.#options;
    if (there?.isAlive !== true && this.#alive() >= max)
      return refusal(wanted, "no_capacity", `The agent runs ${max} machines, and no more at once (--max).`);
    (there ?? this.#make(wanted, request.endpointId, worker, port)).start(planned.program, planned.url);
    return null;
  }

  /** A free port for each machine that is to be made and called, by its name. */
  async #pickPorts({ worker, machines }: HookRequest): Promise<ReadonlyMap<string, number>> {
    const picked = new Map<string, number>();
    if ((worker?.httpPort ?? null) === null) return picked;
    for (const { name, state } of machines) {
      if (state !== "running" || this.#machines.has(name)) continue;
      let port = await findFreePort();
      while (this.#ports.has(port)) port = await findFreePort();
      this.#ports.add(port);
      picked.set(name, port);
    }
    return picked;
  }

  #plan(worker: HookWorker, machine: HookMachine, port: number | null): Planned {
    const { config, own, logs } = this.#options;
    return planProgram(config, own, { worker, machine, port, log: logs.pathOf(machine.name) });
  }

  #make(wanted: HookMachine, endpointId: string, worker: HookWorker, port: number | null): Machine {
    const { config, keeper } = this.#options;
    const { name, gpuTypeId } = wanted;
    const pricePerHour = priceOf(config, worker, gpuTypeId);
    const gone = () => {
      this.#machines.delete(name);
      if (port !== null) this.#ports.delete(port);
    };
    const machine = new Machine({ endpointId, name, worker, pricePerHour, port, keeper, gone });
    machine.setEnd(wanted);
    this.#machines.set(name, machine);
    return machine;
  }

  #alive(): number {
    return [...this.#machines.values()].filter(({ isAlive }) => isAlive).length;
  }
}

function refusal({ name }: HookMachine, reason: Refused["reason"], detail: string): Refused {
  return { name, reason, detail };
}
