// A hook of an operator's, as docs/providers.md describes one: it checks who calls, makes the machines that are wanted, ends the others,
// and answers what there is.
import { Webhook } from "standardwebhooks";
import { type HookAnswer, type HookRequest, hookRequestSchema } from "../../src/contract/fleet-hook.ts";
import type { FakeVendor, VendorReply, VendorRequest } from "./fake-vendor.ts";

type Answered = HookAnswer["machines"][number];
type Refused = NonNullable<HookAnswer["refused"]>[number];

export class FakeHook implements FakeVendor {
  /** By name. */
  readonly machines = new Map<string, Answered>();
  /** How many machines of each name were made. */
  readonly made = new Map<string, number>();
  /** Every state that was taken, newest last. */
  readonly taken: HookRequest[] = [];
  /** Why it makes and starts no machine at the moment; null: it does. */
  refuses: Omit<Refused, "name"> | null = null;
  /** Answers show what there was so long ago. */
  listLagMs = 0;
  readonly #secret: string;
  readonly #now: () => number;
  #history: { readonly atMs: number; readonly shown: readonly Answered[] }[] = [];
  #ids = 0;

  constructor(secret: string, now: () => number = Date.now) {
    this.#secret = secret;
    this.#now = now;
  }

  handle({ headers, body }: VendorRequest): VendorReply {
    let wanted: HookRequest;
    try {
      wanted = hookRequestSchema.parse(new Webhook(this.#secret).verify(body, Object.fromEntries(headers)));
    } catch {
      return { status: 401, body: { detail: "the signature is wrong" } };
    }
    const newest = this.taken.findLast(({ endpointId }) => endpointId === wanted.endpointId)?.number ?? -1;
    if (wanted.number <= newest) return { status: 409, body: { number: newest } };
    this.taken.push(wanted);
    const refused = this.#apply(wanted);
    const prefix = `wb-${wanted.endpointId}-`;
    this.#history.push({ atMs: this.#now(), shown: [...this.machines.values()].map((one) => ({ ...one })) });
    const seenAtMs = this.#now() - this.listLagMs;
    const shown = this.#history.findLast(({ atMs }) => atMs <= seenAtMs)?.shown ?? [];
    return { status: 200, body: { machines: shown.filter(({ name }) => name.startsWith(prefix)), refused } };
  }

  #apply({ endpointId, machines }: HookRequest): Refused[] {
    const refused: Refused[] = [];
    for (const { name, state } of machines) {
      const there = this.machines.get(name);
      if (there?.status === state) continue;
      if (state === "running" && this.refuses !== null) {
        refused.push({ name, ...this.refuses });
      } else if (there !== undefined) {
        there.status = state;
      } else if (state === "running") {
        this.#ids += 1;
        this.machines.set(name, { name, id: `m${this.#ids}`, status: "running", pricePerHour: 0.44 });
        this.made.set(name, (this.made.get(name) ?? 0) + 1);
      }
    }
    const wanted = new Set(machines.map(({ name }) => name));
    for (const name of this.machines.keys()) {
      if (name.startsWith(`wb-${endpointId}-`) && !wanted.has(name)) this.machines.delete(name);
    }
    return refused;
  }
}
