// A provider as its driver meets it, of each kind that makes machines: with the fake of its vendor, and a fleet that asks for things.
import type { CalledMachine, ProviderCall, ProviderKind } from "../../src/contract/fleet.ts";
import type { HookWorker } from "../../src/contract/fleet-hook.ts";
import type { Reach } from "../../src/core/access/reach.ts";
import {
  instanceName,
  type Listed,
  type ProviderAnswer,
  type ProviderOperation,
} from "../../src/core/fleet/provider.ts";
import type { MachinePlan } from "../../src/fleet/driver.ts";
import { makeDriver } from "../../src/fleet/make-driver.ts";
import { FakeHook } from "./fake-hook.ts";
import { FakePods } from "./fake-pods.ts";
import { PUBLIC_ONLY } from "./reach.ts";
import { reachVendor, type VendorCalls } from "./vendor-faults.ts";

export const ENDPOINT = "0123456789abcdef";
export const GPU = "NVIDIA L4";
export const ENDS_AT_MS = Date.parse("2099-01-31T12:00:00Z");
export const HOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
export const API_KEY = "rpa_ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
/** Nobody listens there. */
const CLOSED = "http://127.0.0.1:9";
const ALL: Reach = { ...PUBLIC_ONLY, allowPrivate: true };

export const WORKER: HookWorker = {
  image: "acme/worker:1.2",
  args: "--fast",
  disk: 20,
  ports: ["8000/http"],
  httpPort: null,
  registry: "reg-1",
  gpuCount: 1,
  allowedCudaVersions: [],
  minCudaVersion: "12.4",
  dataCenterIds: ["EU-RO-1"],
  networkVolumes: ["vol-1"],
  env: { MODEL: "small", TOKEN: "of the endpoint" },
};
export const PLAN: MachinePlan = {
  worker: WORKER,
  variablesOf: async ({ instanceId }) => ({ RUNPOD_POD_ID: instanceId, TOKEN: "of the machine" }),
};

export function machineOf(instanceId: string, ref: string | null = null): CalledMachine {
  return { instanceId, ref, gpuTypeId: GPU, tier: "l4", rateKind: "flex", endsAtMs: ENDS_AT_MS };
}

export interface AskOptions {
  /** How long the call may take. */
  readonly withinMs?: number;
  readonly credential?: string;
  readonly isClosed?: boolean;
  readonly plan?: MachinePlan | null;
  readonly httpPort?: number | null;
  /** In place of the next one. */
  readonly number?: number;
}

/** A provider, its vendor's fake, and the state that a fleet wants of it. */
export class Provided {
  readonly hook: FakeHook | null;
  readonly pods: FakePods | null;
  readonly calls: VendorCalls;
  readonly #kind: ProviderKind;
  readonly #wanted = new Map<string, ProviderCall["desired"]["machines"][number]>();
  #number = 0;
  /** The clock of the vendor, epoch ms. */
  nowMs = Date.now();

  constructor(kind: "webhook" | "local" | "runpod") {
    this.#kind = kind;
    const now = () => this.nowMs;
    this.pods = kind === "runpod" ? new FakePods({ apiKey: API_KEY, prices: { [GPU]: 0.44 }, now }) : null;
    this.hook = kind === "runpod" ? null : new FakeHook(HOOK_SECRET, now);
    this.calls = reachVendor(this.pods ?? this.hook ?? notMade());
  }

  /** Asks the driver, and for a provider that takes the whole state, with what is wanted from then on. */
  ask(
    operation: ProviderOperation,
    machine: CalledMachine | null = null,
    options: AskOptions = {},
  ): Promise<ProviderAnswer> {
    if (machine !== null) this.#want(operation, machine);
    this.#number += 1;
    const { withinMs = 5_000, isClosed = false, plan = PLAN, httpPort = null, number = this.#number } = options;
    const ofKind = this.#kind === "local" ? "http://127.0.0.1:8790/" : "https://hooks.example.org/fleet";
    const url = isClosed ? CLOSED : this.#kind === "runpod" ? null : ofKind;
    const credential = options.credential ?? (this.#kind === "runpod" ? API_KEY : HOOK_SECRET);
    const made = makeDriver(
      {
        provider: { kind: this.#kind, url, offers: [] },
        credential,
        plan,
        httpPort,
        endpointId: ENDPOINT,
        desired: { number, machines: [...this.#wanted.values()] },
      },
      { reach: isClosed || this.#kind === "local" ? ALL : PUBLIC_ONLY, now: Date.now, untilMs: Date.now() + withinMs },
    );
    if (!made.ok) throw new Error(made.problem);
    if (operation === "list") return made.driver.list();
    if (machine === null) throw new Error("no machine");
    return operation === "create" ? made.driver.create(machine, plan ?? PLAN) : made.driver[operation](machine);
  }

  /** The machines that the provider shows, by a list. */
  async listed(): Promise<readonly Listed[]> {
    const answer = await this.ask("list");
    if (answer.kind !== "listed") throw new Error(`no list but ${JSON.stringify(answer)}`);
    return answer.instances;
  }

  /** How many machines of this instance were made, whatever has become of them. */
  made(instanceId: string): number {
    const name = instanceName(ENDPOINT, instanceId);
    return (this.pods ?? this.hook ?? notMade()).made.get(name) ?? 0;
  }

  /** From now on there is no machine to be had. */
  sellOut(): void {
    this.pods?.soldOut.add(GPU);
    if (this.hook !== null) this.hook.refuses = { reason: "no_capacity", detail: "the rack is full" };
  }

  /** Lists show what there was so long ago. */
  lag(ms: number): void {
    if (this.pods !== null) this.pods.listLagMs = ms;
    if (this.hook !== null) this.hook.listLagMs = ms;
  }

  #want(operation: ProviderOperation, machine: CalledMachine): void {
    if (operation === "end") this.#wanted.delete(machine.instanceId);
    else this.#wanted.set(machine.instanceId, { ...machine, state: operation === "stop" ? "stopped" : "running" });
  }
}

function notMade(): never {
  throw new Error("a provider has one fake");
}
