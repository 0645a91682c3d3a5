// One simulated world: clients, a lossy queue, carriers that come late or twice, restarts, outages, all from one seed.
// A step is one thing that happens; after each the oracle checks every promise. `heal` ends all faults and runs to rest.

import type { AttemptOutcome } from "../../src/core/job/event.ts";
import { failed } from "../../src/core/job/failure.ts";
import { type Job, type Lease, NOT_RUN } from "../../src/core/job/job.ts";
import { holderOfWorker } from "../../src/core/job/worker-id.ts";
import { Oracle } from "./invariants.ts";
import { FakeAccount, type LedgerFaults } from "./ledger.ts";
import { type Random, seededRandom } from "./random.ts";
import { type LeaseKeeping, Shell, type TransitionFunction, type Upstream } from "./shell.ts";

/** Which faults a run has, and how strong: drawn from the seed, so that few at a time are common too. */
interface Faults extends LedgerFaults {
  readonly wakeLost: number;
  readonly wakeDoubled: number;
  readonly finishTwice: number;
  readonly carrierDies: number;
  readonly carrierLate: number;
  readonly restart: number;
  /** The object is evicted between two steps; 1: at every idle moment, so that each alarm and each call starts a new one. */
  readonly evict: number;
  readonly leap: number;
  readonly attemptFails: number;
  readonly upstreamDown: number;
  readonly alarmLate: number;
  readonly workerLoses: number;
  readonly startFails: number;
}

const NO_FAULTS: Faults = {
  accountDown: 0,
  answerLost: 0,
  d1Down: 0,
  wakeLost: 0,
  wakeDoubled: 0,
  finishTwice: 0,
  carrierDies: 0,
  carrierLate: 0,
  restart: 0,
  evict: 0,
  leap: 0,
  attemptFails: 0,
  upstreamDown: 0,
  alarmLate: 0,
  workerLoses: 0,
  startFails: 0,
};

interface Carrier {
  readonly uuid: string;
  readonly token: string;
  readonly upstreamId: string;
  readonly pulls: boolean;
  readonly finishAtMs: number;
  readonly outcome: AttemptOutcome;
}

const TENANTS = ["tenant-a", "tenant-b", "tenant-c"] as const;
const HEAL_ROUNDS_MAX = 4_000;

export class World {
  readonly oracle = new Oracle();
  readonly shell: Shell;
  readonly #random: Random;
  readonly #accounts = new Map(TENANTS.map((tenant) => [tenant as string, new FakeAccount()]));
  readonly #pausedUntilMs = new Map<string, number>();
  readonly #ttlsMs: readonly number[];
  readonly #executionMs: number;
  #faults: Faults;
  #carriers: Carrier[] = [];
  #wakes: number[] = [];
  #submitted = 0;

  constructor(seed: number, core: TransitionFunction, leaseKeeping: LeaseKeeping) {
    const random = seededRandom(seed);
    this.#random = random;
    this.#faults = drawFaults(random);
    this.#ttlsMs = random.pick([[15_000, 60_000], [120_000, 3_600_000], [3_600_000]]);
    this.#executionMs = random.pick([500, 4_000, 20_000]);
    this.shell = new Shell({
      tenants: TENANTS,
      bounds: random.chance(0.25) ? new Map([[TENANTS[0], random.integer(1, 2)]]) : new Map(),
      upstreams: drawUpstreams(random),
      core,
      leaseKeeping,
      oracle: this.oracle,
      maxAttempts: random.integer(1, 3),
      jitter: () => random.next(),
      onEffect: (effect) => {
        if (effect.kind === "pause_upstream" || effect.kind === "upstream_unhealthy") {
          this.#pausedUntilMs.set(effect.upstreamId, this.shell.nowMs + random.integer(100, 3_000));
        }
      },
    });
  }

  /** One thing happens; throws a Violation when a promise broke. */
  step(): void {
    const { shell } = this;
    const random = this.#random;
    shell.nowMs += random.chance(this.#faults.leap)
      ? random.pick([5_000, 31_000, 62_000, 300_000])
      : random.integer(0, 900);
    const roll = random.next();
    if (random.chance(this.#faults.evict)) this.#evict();
    if (random.chance(this.#faults.restart)) this.#restart();
    else if (roll < 0.16) this.#submit();
    else if (roll < 0.28) this.#client();
    else if (roll < 0.4) this.#deliverWake();
    else if (roll < 0.74) this.#carrierActs();
    else if (roll < 0.9) this.#alarm();
    else this.#post();
    this.oracle.check(shell);
  }

  /** Ends all faults, runs until nothing lives and nothing is owed, then checks the books. */
  heal(): void {
    const evictsAlways = this.#faults.evict === 1;
    this.#faults = NO_FAULTS;
    for (let round = 0; round < HEAL_ROUNDS_MAX && !this.#atRest(); round += 1) {
      this.shell.nowMs += 700;
      if (evictsAlways) this.#evict();
      this.#alarm();
      this.#wakes.push(this.shell.nowMs);
      this.#deliverWake();
      for (const carrier of [...this.#carriers]) this.#finish(carrier);
      this.#post();
      this.oracle.check(this.shell);
    }
    this.oracle.settled([...this.#accounts.values()].map((one) => ({ debited: one.debitedNanodollars, d1: one.d1 })));
  }

  /** A digest of the state: equal for two runs of one seed. */
  digest(): string {
    const d1 = [...this.#accounts.values()].map((one) => [...one.d1.values()]);
    const text = JSON.stringify([this.shell.nowMs, [...this.shell.rows.values()], d1]);
    let hash = 0x811c9dc5;
    for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
    return (hash >>> 0).toString(16);
  }

  #atRest(): boolean {
    for (const uuid of this.shell.rows.keys()) {
      const status = this.shell.look(uuid)?.job.status;
      if (status === "IN_QUEUE" || status === "IN_PROGRESS") return false;
    }
    for (const [tenant, account] of this.#accounts) {
      if (account.pendingCount > 0 || this.shell.owedLines(tenant).length > 0) return false;
    }
    return true;
  }

  #submit(): void {
    const random = this.#random;
    const { nowMs } = this.shell;
    this.#submitted += 1;
    const burst = random.chance(0.1) ? 8 : 1;
    for (let one = 0; one < burst; one += 1) {
      const uuid = `job-${this.#submitted}-${one}`;
      this.shell.submit(newJob(uuid, random, nowMs, random.pick(this.#ttlsMs)), `input of ${uuid}`);
    }
    this.#wake();
  }

  #client(): void {
    const random = this.#random;
    const uuids = [...this.shell.rows.keys()];
    if (uuids.length === 0) return;
    const uuid = random.pick(uuids);
    const roll = random.next();
    if (roll < 0.4) this.shell.decide(uuid, { kind: "cancel" });
    else if (roll < 0.72) this.#retry(uuids);
    else if (roll < 0.8) this.shell.decide(uuid, { kind: "time" });
    else if (roll < 0.84) this.shell.strayStart(uuid, random.pick(this.shell.upstreams));
    else if (roll < 0.94) this.shell.decide(uuid, { kind: "set_ttl", ttlMs: random.pick([10_000, 30_000, 7_200_000]) });
    else this.shell.purge(random.pick(TENANTS));
  }

  /** Mostly of a job that failed, else of any: the others must refuse. */
  #retry(uuids: readonly string[]): void {
    const failed = uuids.filter((uuid) => this.shell.look(uuid)?.job.status === "FAILED");
    const from = failed.length > 0 && this.#random.chance(0.8) ? failed : uuids;
    this.shell.decide(this.#random.pick(from), { kind: "retry" });
    this.#wake();
  }

  #wake(): void {
    if (this.#random.chance(this.#faults.wakeLost)) return;
    const copies = this.#random.chance(this.#faults.wakeDoubled) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) this.#wakes.push(this.shell.nowMs);
  }

  /** Any of the wake-ups under way may arrive next. */
  #deliverWake(): void {
    if (this.#wakes.length === 0) return;
    this.#wakes.splice(this.#random.integer(0, this.#wakes.length - 1), 1);
    const open = (id: string): boolean => (this.#pausedUntilMs.get(id) ?? 0) <= this.shell.nowMs;
    for (const uuid of this.shell.startReady((free) => this.#random.pick(free), open)) {
      const lease = this.shell.look(uuid)?.job.lease;
      if (lease == null) continue;
      const late = this.#random.chance(this.#faults.carrierLate) ? this.#random.integer(25_000, 70_000) : 0;
      const finishAtMs = this.shell.nowMs + this.#random.integer(0, this.#executionMs) + late;
      const { token, holderId: upstreamId, workerKeyId } = lease;
      const pulls = workerKeyId !== null;
      this.#carriers.push({ uuid, token, upstreamId, pulls, finishAtMs, outcome: this.#outcome(lease) });
    }
  }

  #carrierActs(): void {
    if (this.#carriers.length === 0) return;
    const random = this.#random;
    const carrier = random.pick(this.#carriers);
    if (random.chance(this.#faults.carrierDies)) this.#carriers = this.#carriers.filter((one) => one !== carrier);
    else if (carrier.finishAtMs <= this.shell.nowMs) this.#finish(carrier);
    else if (carrier.pulls && random.chance(this.#faults.workerLoses)) {
      this.shell.heard(carrier.upstreamId);
      this.shell.decide(carrier.uuid, {
        kind: "lost",
        token: carrier.token,
        delivered: random.pick([true, true, false, "perhaps"]),
      });
    } else if (carrier.pulls) {
      // A heartbeat, which may name other jobs than this one.
      this.shell.heard(carrier.upstreamId);
      if (random.chance(0.7)) this.shell.decide(carrier.uuid, { kind: "renew", token: carrier.token });
    } else if (random.chance(0.2)) {
      const upstreamJobId = `upstream-${carrier.token}`;
      this.shell.decide(carrier.uuid, { kind: "note_upstream_job", token: carrier.token, upstreamJobId });
    } else {
      const kind = random.chance(0.3) ? "note_running" : "renew";
      this.shell.decide(carrier.uuid, { kind, token: carrier.token });
    }
  }

  #finish(carrier: Carrier): void {
    this.shell.finish(carrier.uuid, carrier.token, carrier.outcome);
    if (this.#random.chance(this.#faults.finishTwice)) return;
    this.#carriers = this.#carriers.filter((one) => one !== carrier);
    this.#wake();
  }

  #alarm(): void {
    if (this.#random.chance(this.#faults.alarmLate)) return;
    const isCut = this.#random.chance(this.#faults.alarmLate);
    this.shell.alarm(isCut ? 1 : 1_000);
    if (!isCut) this.oracle.alarmed(this.shell.nowMs);
    this.#wake();
  }

  #post(): void {
    for (const [tenant, account] of this.#accounts) {
      const lines = this.shell.owedLines(tenant).slice(0, this.#random.integer(1, 5));
      if (lines.length > 0) {
        const through = account.post(lines, this.#faults, this.#random);
        if (through !== undefined) this.shell.posted(tenant, through);
      }
      account.flush(this.#faults, this.#random);
    }
  }

  #evict(): void {
    this.shell.restart();
    this.oracle.saw("eviction");
  }

  #restart(): void {
    this.shell.restart();
    this.oracle.saw("restart");
    if (this.#random.chance(0.5)) this.#carriers = this.#carriers.filter(() => this.#random.chance(0.5));
  }

  #outcome({ byClient, workerKeyId }: Lease): AttemptOutcome {
    const random = this.#random;
    if (workerKeyId !== null && random.chance(this.#faults.startFails)) {
      return { kind: "start_failed", start: { kind: "failed", error: "no GPU", detail: "Its start failed." } };
    }
    if (byClient && random.chance(0.3)) {
      return random.pick<AttemptOutcome>([
        { kind: "abandoned", tokens: null },
        { kind: "cut_short", failure: failed("bad_answer", "broke off") },
      ]);
    }
    if (random.chance(this.#faults.attemptFails))
      return { kind: "attempt_failed", failure: failed("bad_answer", "connection reset") };
    if (random.chance(this.#faults.upstreamDown)) {
      return random.chance(0.5)
        ? { kind: "upstream_paused", detail: "429", retryAfterMs: null }
        : { kind: "upstream_unhealthy", detail: "401" };
    }
    return random.pick<AttemptOutcome>([
      { kind: "completed", output: { kind: "r2", key: "output", sizeBytes: 1 } },
      { kind: "completed", output: null },
      { kind: "handler_error", failure: failed("handler_error", "no such model"), output: null },
      { kind: "rejected", failure: failed("invalid_request", "400") },
      { kind: "timed_out" },
      { kind: "storage_failed", failure: failed("storage_unavailable", "R2") },
    ]);
  }
}

function drawFaults(random: Random): Faults {
  const strength = (most: number): number => (random.chance(0.4) ? random.next() * most : 0);
  return {
    accountDown: strength(0.8),
    answerLost: strength(0.5),
    d1Down: strength(0.9),
    wakeLost: strength(0.4),
    wakeDoubled: strength(0.5),
    finishTwice: strength(0.6),
    carrierDies: strength(0.3),
    carrierLate: strength(0.6),
    restart: strength(0.12),
    evict: random.chance(0.15) ? 1 : strength(0.3),
    leap: strength(0.25),
    attemptFails: strength(0.8),
    upstreamDown: strength(0.5),
    alarmLate: strength(0.7),
    workerLoses: strength(0.9),
    // Mostly none, else often: a job ends by it only when several workers in turn have failed.
    startFails: random.pick([0, 0, 0.3, 0.95, 0.95]),
  };
}

function drawUpstreams(random: Random): Upstream[] {
  return Array.from({ length: random.integer(1, 3) }, (_, index) => {
    const pulls = random.chance(0.4);
    return { id: pulls ? holderOfWorker("key", `w${index}`) : `upstream-${index}`, pulls, ...drawPrice(random) };
  });
}

function drawPrice(random: Random): Omit<Upstream, "id" | "pulls"> {
  return {
    slots: random.pick([1, 3, 7]),
    rateKind: random.chance(0.85) ? "flex" : "active",
    nanodollarsPerSecond: random.pick([160_000, 190_001, 1_160_000]),
  };
}

function newJob(uuid: string, random: Random, nowMs: number, ttlMs: number): Omit<Job, "queueSeq"> {
  return {
    ...NOT_RUN,
    uuid,
    mode: "run",
    tenantId: random.pick(TENANTS),
    createdAtMs: nowMs,
    queuedAtMs: nowMs,
    ttlAtMs: nowMs + ttlMs,
    executionTimeoutMs: random.pick([5_000, 60_000, 600_000]),
    lowPriority: false,
    retentionMs: random.pick([60_000, 1_800_000]),
    round: 0,
    attempts: 0,
    formerWorkers: [],
    origin: null,
    history: [],
    webhook: null,
    stored: null,
  };
}
