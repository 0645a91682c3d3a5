// The seconds of active machines of a load-balanced endpoint over random changes of how many there are, and restarts: what is billed is
// what was held, to the second. What was held is reckoned here from what was done.
import { abortAllDurableObjects } from "cloudflare:test";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Random, seededRandom } from "../../sim/random.ts";
import { activeRate, makeActive, passMs } from "../../support/active.ts";
import { fleet, holdProvider } from "../../support/held-provider.ts";
import { answerPings } from "../../support/load-balanced.ts";

/** No alarm rings by itself before this. */
const NOW_MS = Date.UTC(2050, 0, 1);
const CHANGES = 100;
const FLEX = { tier: "a4000", kind: "flex" as const, nanodollarsPerSecond: 160_000, effectiveFromMs: 0 };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(NOW_MS);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** What is to be billed. The last second of a hold is billed as a whole, and what follows it begins after that. */
class Held {
  readonly seconds = new Map<string, number>();
  readonly #since = new Map<string, number>();
  readonly #billedUntil = new Map<string, number>();

  begin(id: string, atMs: number): void {
    if (!this.#since.has(id)) this.#since.set(id, Math.max(atMs, this.#billedUntil.get(id) ?? 0));
  }

  end(id: string, atMs: number): void {
    const sinceMs = this.#since.get(id);
    if (sinceMs === undefined) return;
    this.#since.delete(id);
    const seconds = Math.max(Math.ceil((atMs - sinceMs) / 1_000), 0);
    this.#billedUntil.set(id, sinceMs + seconds * 1_000);
    if (seconds > 0) this.seconds.set(id, (this.seconds.get(id) ?? 0) + seconds);
  }

  get ids(): string[] {
    return [...this.#since.keys()];
  }
}

async function makeWorld(random: Random) {
  const provider = holdProvider();
  provider.url = "http://worker.test";
  answerPings(() => "ready");
  const settingsOf = (min: number) => fleet({ min, max: 5, idleTimeoutMs: 0 });
  const made = await makeActive({ kind: "load_balancer", rates: [FLEX, activeRate()], fleet: settingsOf(0) });
  const held = new Held();
  let min = 0;
  /** Which machines are there after a change that was made at that time. */
  const settle = async (changedMs: number) => {
    const machines = await vi.waitFor(async () => {
      const workers = (await made.broker().listWorkers({ tenantId: made.tenantId })) ?? [];
      expect(workers).toHaveLength(min);
      expect(workers.filter(({ machine }) => machine?.phase !== "ready")).toEqual([]);
      return workers;
    });
    const active = machines.filter(({ rateKind }) => rateKind === "active");
    for (const id of held.ids) if (!active.some((one) => one.id === id)) held.end(id, changedMs);
    for (const { id, machine } of active) held.begin(id, Math.max(machine?.readyAtMs ?? 0, changedMs));
  };
  const setMin = async (next: number) => {
    const changedMs = Date.now();
    min = next;
    await made.change({ fleet: settingsOf(min) });
    await settle(changedMs);
  };
  const change = async () => {
    if (random.chance(0.4)) await abortAllDurableObjects();
    else await setMin(random.integer(0, 3));
  };
  const pass = async () => {
    passMs(random.integer(0, random.chance(0.3) ? 4_000_000 : 5_000));
    if (random.chance(0.6)) await made.ring();
  };
  const close = async () => {
    const deletedMs = Date.now();
    await made.change({ deletedAtMs: deletedMs });
    for (const id of held.ids) held.end(id, deletedMs);
  };
  return { made, held, change, pass, close };
}

it.each([1, 2, 3])("are those that were held, over random changes and restarts: seed %i", async (seed) => {
  const { made, held, change, pass, close } = await makeWorld(seededRandom(seed));
  for (let changes = 0; changes < CHANGES; changes += 1) {
    await change();
    await pass();
  }
  await close();
  const billed = new Map<string, number>();
  for (const { jobId, seconds } of await made.lines()) {
    const id = jobId.slice("active-".length);
    billed.set(id, (billed.get(id) ?? 0) + seconds);
  }
  expect(held.seconds.size).toBeGreaterThan(3);
  expect([...billed].sort()).toEqual([...held.seconds].sort());
});
