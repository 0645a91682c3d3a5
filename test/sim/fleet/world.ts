// One endpoint with a fleet at providers that fail: jobs come, workers run them, the broker starts anew in the middle of anything.
// What the broker does with the core is done here in the same order: rows first, then calls.
import { isAffordable, isBlocked } from "../../../src/core/fleet/candidates.ts";
import { busyUntilMs } from "../../../src/core/fleet/due.ts";
import type { FleetFacts, WorkerFacts } from "../../../src/core/fleet/fleet-facts.ts";
import { beginFleet, type FleetState, putInstance } from "../../../src/core/fleet/fleet-state.ts";
import { type Candidate, type Instance, isLive, isNewlyReady } from "../../../src/core/fleet/instance.ts";
import { CALL_LOST_AFTER_MS, RETIRE_BEFORE_MS } from "../../../src/core/fleet/limits.ts";
import { instanceName, type ProviderAnswer } from "../../../src/core/fleet/provider.ts";
import { type FleetCall, reconcile } from "../../../src/core/fleet/reconcile.ts";
import {
  beginScaling,
  letGo,
  type Patience,
  patienceOf,
  type ScalerState,
  scale,
} from "../../../src/core/fleet/scaler.ts";
import { whyItLeaves } from "../../../src/core/fleet/staying.ts";
import { takeAnswer } from "../../../src/core/fleet/take-answer.ts";
import { takeList } from "../../../src/core/fleet/take-list.ts";
import { WORKER_GONE_AFTER_MS } from "../../../src/core/limits.ts";
import { type Random, seededRandom } from "../random.ts";
import { CallPromises } from "./calls.ts";
import { PROMISES, type PromiseName } from "./promises.ts";
import { type Fate, type Machine, NO_FAULTS, SimProvider } from "./provider.ts";
import { RecordPromises } from "./records.ts";
import { drawKinds, drawSettings, isBillable, openSettings, type SimSettings } from "./settings.ts";

const ENDPOINT = "e0e0e0e0e0e0e0e0";
/** The poll of a worker that lives has come back to a broker that has started anew by then. */
const SEEN_WITHIN_MS = 20_000;
const BEGIN_MS = 1_800_000_000_000;
/** A provider that is busy with our calls is waited for, but not for longer. */
const WAITED_MAX_MS = 15_000;
const LIFETIME_MS = 3_600_000;
const INIT_TIMEOUT_MS = 60_000;
/** Longer than the time before the hard end of a machine in which it gets no more jobs. */
const LONG_JOB_MS = 1_200_000;
const MINUTE_MS = 60_000;
/** What a look has ended may be replaced by the next one, and that in turn be too dear: a few looks settle it. */
const RESTS_AFTER = 8;
/** A job that ends the machine on which it runs does so after this. */
const DEATH_MS = 100;

interface Job {
  readonly id: number;
  readonly sinceMs: number;
  readonly isLow: boolean;
  readonly workMs: number;
}

interface Pending {
  readonly atMs: number;
  readonly call: FleetCall;
  readonly answer: ProviderAnswer;
}

export class FleetWorld {
  readonly broken: Record<PromiseName, number>;
  readonly notes: string[] = [];
  readonly seen = new Map<string, number>();
  readonly #random: Random;
  readonly #providers = new Map<string, SimProvider>();
  /** The providers, those of one account as one. */
  readonly #accounts: readonly SimProvider[];
  /** All kinds of machines that the endpoint may ever have. */
  readonly #kinds: readonly Candidate[];
  readonly #calls = new CallPromises((name, note) => this.#break(name, note));
  readonly #records: RecordPromises;
  /** The hard ends of machines, by name, as they were asked for. */
  readonly #ends = new Map<string, number>();
  readonly #waiting: Job[] = [];
  readonly #started = new Map<number, Job>();
  readonly #names = new Map<string, string>();
  #nowMs = BEGIN_MS;
  /** The rows, which outlive a start of the broker. */
  #rows: ReadonlyMap<string, Instance> = new Map();
  #fleet: FleetState = beginFleet([]);
  #scaler: ScalerState = beginScaling(0, BEGIN_MS);
  #startedMs = BEGIN_MS;
  #settings: SimSettings;
  #connected: { readonly job: Job; readonly endsAtMs: number }[] = [];
  #pending: Pending[] = [];
  #dueAtMs = 0;
  #couldSinceMs = Number.POSITIVE_INFINITY;
  #ids = 0;
  #jobs = 0;
  #done = 0;
  #creates = 0;
  #orphans = 0;
  /** The broker does not start anew. */
  #isCalm = false;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.broken = Object.fromEntries(PROMISES.map((name) => [name, 0])) as Record<PromiseName, number>;
    this.#kinds = drawKinds(this.#random);
    for (const candidate of this.#kinds) {
      if (this.#providers.has(candidate.providerId)) continue;
      // Two providers may be of one account, and then each lists what the other one has made.
      const first = this.#providers.get("p0");
      const isShared = first !== undefined && this.#random.chance(0.3);
      this.#providers.set(candidate.providerId, isShared ? first : new SimProvider(this.#random));
    }
    this.#accounts = [...new Set(this.#providers.values())];
    this.#records = new RecordPromises(ENDPOINT, this.#accounts, this.#calls, (name, note) => this.#break(name, note));
    this.#settings = drawSettings(this.#random, this.#kinds);
  }

  step(): void {
    const act = this.#random.integer(0, 19);
    if (act <= 3) this.#submit(this.#random.integer(1, 4));
    else if (act === 4) this.#restart();
    else if (act === 5) this.#random.pick(this.#accounts).drawFaults();
    else if (act === 6) this.#loseMachine();
    else if (act === 7) this.#change();
    else if (act === 8) this.#sweep();
    else if (act === 9 && this.#random.chance(0.2)) this.#plant();
    else if (act === 10 && this.#random.chance(0.3)) this.#drain();
    else this.#pass(this.#random.pick([200, 1_000, 5_000, 20_000, 60_000, 600_000]));
    this.#check();
  }

  /** Faults stop, and after a while so does the work: everything is done, and nothing is left. */
  heal(): void {
    for (const provider of this.#accounts) provider.faults = NO_FAULTS;
    this.#settings = openSettings(this.#settings, this.#kinds, 5);
    // A job of low priority adds no worker, and waits for one that comes for others.
    this.#submit(1, false);
    this.#touch();
    // What is left to do may take hours, but does not stand still.
    let done = this.#done;
    let stillMinutes = 0;
    for (let minutes = 0; minutes < 600 && stillMinutes < 90 && this.#done < this.#jobs; minutes += 1) {
      this.#pass(MINUTE_MS);
      stillMinutes = this.#done > done ? 0 : stillMinutes + 1;
      done = this.#done;
      if (this.#waiting.length > 0 && this.#waiting.every(({ isLow }) => isLow)) this.#submit(1, false);
    }
    if (this.#done !== this.#jobs) this.#break("unfinished", `${this.#jobs - this.#done} of ${this.#jobs} jobs`);
    this.#rest();
    const left = this.#machines().filter(({ isStray }) => !isStray);
    if (left.length > 0) this.#break("leaked_instances", left.map(({ name }) => name).join());
    // What no record had to know of is found by the next look at all that there is.
    this.#pass(15 * MINUTE_MS);
    // A start of the broker would put that off until the next day.
    this.#isCalm = true;
    this.#sweep();
    this.#pass(MINUTE_MS);
    this.#rest();
    if (this.#machines().length > 0) this.#break("leaked_instances", "a sweep has left machines");
    if (this.#rows.size > 0) this.#break("unfinished", `records are left: ${JSON.stringify([...this.#rows.values()])}`);
    if (Number.isFinite(this.#dueAtMs)) this.#break("unfinished", "an empty fleet has an alarm");
  }

  /**
   * For a while all workers fail their start, of what one and the same image does, and nothing else is wrong: few machines are made in an
   * hour of that, although jobs wait.
   */
  crash(): void {
    const fates: readonly Fate[] = [this.#random.pick(["failed", "mute", "reports", "dies"] as const)];
    for (const provider of this.#accounts) provider.faults = { ...NO_FAULTS, badBoot: 1, fates };
    const max = this.#random.integer(1, 6);
    this.#settings = openSettings(this.#settings, this.#kinds, max);
    this.#isCalm = true;
    // What began well before may end a row of failed starts once more.
    for (let minutes = 0; minutes < 65; minutes += 1) {
      if (minutes === 5) this.#creates = 0;
      if (minutes % 5 === 0) this.#submit(Math.max(2 * max - this.#waiting.length, 1), false);
      this.#pass(MINUTE_MS);
    }
    this.#isCalm = false;
    this.#see(`crashing ${fates.join()}`);
    // By pauses of 5 s to 10 min, which each failed start doubles.
    const most = 9 * max + 9;
    if (this.#creates > most)
      this.#break("hasty", `${this.#creates} machines in an hour, of ${max} at once: ${fates.join()}`);
  }

  /** Lets time pass until nothing is due. */
  #rest(): void {
    for (let minutes = 0; minutes < 100 && Number.isFinite(this.#dueAtMs); minutes += 1) this.#pass(MINUTE_MS);
  }

  digest(): string {
    return JSON.stringify([this.#nowMs, this.#jobs, this.#done, this.#ids, [...this.#rows.keys()]]);
  }

  #break(name: PromiseName, note: string): void {
    this.broken[name] += 1;
    this.notes.push(`${name}: ${note}`);
  }

  #see(corner: string): void {
    this.seen.set(corner, (this.seen.get(corner) ?? 0) + 1);
  }

  /** All providers are asked what they have, as once a day. */
  #sweep(): void {
    this.#see("sweep");
    this.#touch([...this.#providers.keys()]);
  }

  /** A machine of ours turns up that nobody remembers. */
  #plant(): void {
    this.#see("orphan");
    this.#orphans += 1;
    this.#random.pick(this.#accounts).plant(instanceName(ENDPOINT, `orphan${this.#orphans}`), this.#nowMs);
  }

  /** The owner takes a worker out of service, or back. */
  #drain(): void {
    const known = this.#workers();
    const serving = [...this.#rows.values()].filter(({ phase }) => phase === "ready" || phase === "draining");
    const there = serving.filter(({ id }) => known.has(id));
    if (there.length === 0) return;
    const instance = this.#random.pick(there);
    const isDrained = !instance.isDrained;
    this.#see(`${isDrained ? "drained" : "resumed"} ${instance.phase}`);
    this.#keep(putInstance(this.#fleet, { ...instance, isDrained }));
    this.#touch();
  }

  #change(): void {
    this.#settings = drawSettings(this.#random, this.#kinds);
    const busy = [...this.#rows.values()].filter((instance) => this.#machineOf(instance)?.job);
    if (busy.length > 0 && !this.#settings.isOpen) this.#see("closed with a job");
    if (busy.some((instance) => !isBillable(instance, this.#settings))) this.#see("unpriced with a job");
    this.#touch();
  }

  #submit(count: number, mayBeLow = true): void {
    for (let at = 0; at < count; at += 1) {
      this.#jobs += 1;
      const isLow = mayBeLow && this.#random.chance(0.15);
      const workMs = this.#random.chance(0.06) ? LONG_JOB_MS : this.#random.pick([200, 1_000, 10_000, 120_000]);
      this.#waiting.push({ id: this.#jobs, sinceMs: this.#nowMs, isLow, workMs });
    }
    this.#touch();
  }

  /** Memory is lost; answers under way may still come, to calls that nobody remembers but the rows. */
  #restart(): void {
    this.#see("restart");
    this.#calls.restarted();
    this.#fleet = beginFleet([...this.#rows.values()]);
    this.#scaler = beginScaling([...this.#rows.values()].filter(isLive).length, this.#nowMs);
    this.#startedMs = this.#nowMs;
    this.#pending = this.#pending.filter(({ call }) => call.operation !== "list" && this.#random.chance(0.5));
    for (const machine of this.#machines()) machine.lastCallMs = 0;
    this.#touch();
  }

  #loseMachine(): void {
    const provider = this.#random.pick(this.#accounts);
    const names = [...provider.machines.keys()];
    if (names.length === 0) return;
    const name = this.#random.pick(names);
    const machine = provider.machines.get(name);
    provider.lose(name, this.#nowMs);
    // Its lease ends, and the job is run again.
    if (machine?.job) this.#giveBack(machine.job.id);
    if (machine !== undefined) machine.job = null;
    this.#touch();
  }

  #giveBack(id: number): void {
    const job = this.#started.get(id);
    if (job === undefined) return;
    this.#started.delete(id);
    this.#waiting.unshift(job);
  }

  /** Lets time pass up to a moment, event by event. */
  #pass(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let events = 0; events < 20_000; events += 1) {
      const atMs = this.#nextEventMs();
      if (atMs > untilMs) break;
      this.#nowMs = Math.max(atMs, this.#nowMs);
      this.#runEvents();
    }
    this.#nowMs = untilMs;
  }

  #nextEventMs(): number {
    let atMs = this.#dueAtMs;
    for (const pending of this.#pending) atMs = Math.min(atMs, pending.atMs);
    for (const { endsAtMs } of this.#connected) atMs = Math.min(atMs, endsAtMs);
    for (const provider of this.#accounts) atMs = Math.min(atMs, provider.nextLateMs());
    for (const machine of this.#machines()) {
      if (machine.status !== "running") continue;
      if (machine.job !== null) atMs = Math.min(atMs, machine.job.endsAtMs);
      const isKnown = machine.hasAsked || machine.hasReported;
      if (!isKnown || machine.lastCallMs === 0) atMs = Math.min(atMs, machine.bootsAtMs);
    }
    return atMs;
  }

  #runEvents(): void {
    const nowMs = this.#nowMs;
    const answered = this.#pending.filter(({ atMs }) => atMs <= nowMs);
    this.#pending = this.#pending.filter(({ atMs }) => atMs > nowMs);
    for (const provider of this.#accounts)
      for (let left = provider.arrive(nowMs); left > 0; left -= 1) this.#see("late machine");
    for (const { call, answer } of answered) this.#take(call, answer);
    for (const machine of this.#machines()) this.#runMachine(machine);
    const over = this.#connected.filter(({ endsAtMs }) => endsAtMs <= nowMs);
    this.#connected = this.#connected.filter(({ endsAtMs }) => endsAtMs > nowMs);
    for (const { job } of over) this.#finish(job.id);
    this.#touch();
  }

  #runMachine(machine: Machine): void {
    if (machine.status !== "running" || machine.bootsAtMs > this.#nowMs) return;
    machine.lastCallMs = this.#nowMs;
    if (machine.fate === "reports") {
      machine.hasReported = true;
      return;
    }
    machine.hasAsked = true;
    if (machine.job === null || machine.job.endsAtMs > this.#nowMs) return;
    if (machine.fate === "dies") {
      this.#giveBack(machine.job.id);
      machine.job = null;
      machine.status = "failed";
      return;
    }
    this.#finish(machine.job.id);
    machine.job = null;
    machine.hasRun = true;
    machine.idleSinceMs = this.#nowMs;
  }

  #finish(id: number): void {
    if (!this.#started.delete(id)) this.#break("jobs_lost", `job ${id} was finished twice`);
    this.#done += 1;
  }

  #machines(): Machine[] {
    const all: Machine[] = [];
    for (const { machines } of this.#accounts) for (const machine of machines.values()) all.push(machine);
    return all;
  }

  /** The very same text each time: to make it anew, and look a machine up by it, took a quarter of a run. */
  #nameOf({ id }: Pick<Instance, "id">): string {
    const known = this.#names.get(id) ?? instanceName(ENDPOINT, id);
    this.#names.set(id, known);
    return known;
  }

  #machineOf(instance: Instance): Machine | undefined {
    return this.#providers.get(instance.providerId ?? "")?.machines.get(this.#nameOf(instance));
  }

  #take(call: FleetCall, answer: ProviderAnswer): void {
    const moment = { nowMs: this.#nowMs, jitter: this.#random.next() };
    this.#see(`${call.operation} ${answer.kind}`);
    this.#noteAnswer(call, answer);
    if (call.operation === "list") {
      const unproven = this.#unproven();
      const asked = { providerId: call.providerId, no: call.no, endpointId: ENDPOINT, unproven };
      this.#keep(takeList(this.#fleet, asked, answer, moment));
      return;
    }
    this.#keep(takeAnswer(this.#fleet, call, answer, moment), "detail" in answer ? answer.detail : null);
  }

  /** Tells those who watch over the promises. */
  #noteAnswer(call: FleetCall, answer: ProviderAnswer): void {
    const instance = call.operation === "list" ? undefined : this.#rows.get(call.instanceId);
    const isTaken = call.operation === "list" || instance?.call?.no === call.no;
    this.#calls.answered(call, answer, isTaken, instance, this.#nowMs);
    if (isTaken && instance !== undefined && answer.kind === "done" && answer.instance !== null)
      this.#records.showed(instance.id, answer.instance.priceNanodollarsPerHour ?? 0);
    if (answer.kind !== "listed") return;
    const prices = new Map(answer.instances.map((listed) => [listed.name, listed.priceNanodollarsPerHour ?? 0]));
    for (const one of this.#rows.values()) {
      // What a create has made is taken from its answer while that is still to come.
      const isKnown = one.providerId === call.providerId && (one.phase !== "creating" || one.call === null);
      if (isKnown) this.#records.showed(one.id, prices.get(this.#nameOf(one)) ?? 0);
    }
  }

  /** The machines whose workers are known, and have run nothing since they became ready a short while ago. */
  #unproven(): ReadonlySet<string> {
    const workers = this.#workers();
    const unproven = [...this.#rows.values()].filter((instance) => {
      return workers.get(instance.id)?.hasRun === false && isNewlyReady(instance, this.#nowMs);
    });
    return new Set(unproven.map(({ id }) => id));
  }

  #truth() {
    const machineOf = (instance: Instance) => this.#machineOf(instance);
    return { nowMs: this.#nowMs, settings: this.#settings, initTimeoutMs: INIT_TIMEOUT_MS, machineOf };
  }

  /** `words`: those of the answer that has changed it. */
  #keep(state: FleetState, words: string | null = null): void {
    this.#records.changed(this.#rows, state.instances, words, this.#truth());
    this.#fleet = state;
    this.#rows = state.instances;
  }

  /** What the broker does at the end of each call and at its alarm: starts jobs, then looks at its fleet. */
  #touch(swept: readonly string[] = []): void {
    this.#startJobs();
    const nowMs = this.#nowMs;
    const { rule, bounds, isOpen } = this.#settings;
    const newlyLeaving = this.#leaving().filter(({ phase }) => phase === "ready");
    const scaled = scale(letGo(this.#scaler, newlyLeaving.length), { rule, bounds, isOpen, load: this.#load() }, nowMs);
    this.#scaler = scaled.state;
    const plan = reconcile(this.#fleet, { ...this.#facts(), swept });
    this.#keep(plan.state);
    this.#records.looked(this.#rows, this.#truth());
    this.#checkDrained();
    if (this.#random.chance(0.05)) this.#checkRest(plan.state);
    this.#dueAtMs = Math.min(plan.nextAtMs, scaled.nextAtMs, this.#overdueAtMs());
    if (plan.calls.length > 0 && !this.#isCalm && this.#random.chance(0.02)) {
      this.#see("restart before a call");
      this.#restart();
      return;
    }
    for (const call of plan.calls) this.#call(call, swept);
    this.#startJobs();
    this.#noteHeldUp();
  }

  /** Further looks at the same moment may replace what this one has ended, and come to rest: each writes rows and makes calls. */
  #checkRest(state: FleetState): void {
    let ids = 0;
    const newId = () => {
      ids += 1;
      return `next${ids}`;
    };
    const facts = { ...this.#facts(), swept: [], newId };
    let next = state;
    for (let looks = 0; looks < RESTS_AFTER; looks += 1) {
      const plan = reconcile(next, facts);
      if (plan.state === next) return;
      const moved = [...plan.state.instances.values()].filter((one) => next.instances.get(one.id) !== one);
      next = plan.state;
      if (looks === RESTS_AFTER - 1)
        this.#break("restless", JSON.stringify([moved.map(({ id, phase }) => [id, phase]), plan.calls]));
    }
  }

  /** The machines that get no more jobs whatever is wanted. */
  #leaving(): readonly Instance[] {
    const { pricedTiers, activeTiers } = this.#settings;
    const facts = { nowMs: this.#nowMs, pricedTiers, activeTiers };
    return [...this.#rows.values()].filter((instance) => whyItLeaves(instance, facts) !== null);
  }

  /** A job that waits for too long adds no worker where there may be no more. */
  #overdueAtMs(): number {
    const { rule, isOpen, bounds } = this.#settings;
    if (!isOpen || this.#scaler.wanted >= bounds.max) return Number.POSITIVE_INFINITY;
    if (rule.type !== "QUEUE_DELAY") return Number.POSITIVE_INFINITY;
    const times = this.#waiting.filter(({ isLow }) => !isLow).map(({ sinceMs }) => sinceMs + rule.delayMs + 1);
    return Math.min(...times.filter((atMs) => atMs > this.#nowMs));
  }

  #load() {
    const { rule } = this.#settings;
    const normal = this.#waiting.filter(({ isLow }) => !isLow);
    const delayMs = rule.type === "QUEUE_DELAY" ? rule.delayMs : 0;
    const leaving = new Set(this.#leaving());
    const lasting = [...this.#rows.values()].filter((instance) => !leaving.has(instance));
    const running = lasting.filter((instance) => this.#machineOf(instance)?.job);
    return {
      waiting: normal.length,
      overdue: normal.filter(({ sinceMs }) => this.#nowMs - sinceMs > delayMs).length,
      running: running.length,
      spareSlots: 0,
      slots: 1,
    };
  }

  #workers(): ReadonlyMap<string, WorkerFacts> {
    const workers = new Map<string, WorkerFacts>();
    for (const instance of this.#rows.values()) {
      const machine = this.#machineOf(instance);
      const isKnown = machine?.hasAsked === true || machine?.hasReported === true;
      if (machine === undefined || !isKnown || machine.lastCallMs === 0) continue;
      workers.set(instance.id, this.#workerOf(machine));
    }
    return workers;
  }

  #facts(): Omit<FleetFacts, "swept"> {
    return {
      nowMs: this.#nowMs,
      jitter: this.#random.next(),
      isOpen: this.#settings.isOpen,
      wanted: this.#scaler.wanted,
      patience: this.#patience(),
      active: this.#settings.bounds.min,
      release: 1,
      candidates: this.#settings.candidates,
      pricedTiers: this.#settings.pricedTiers,
      activeTiers: this.#settings.activeTiers,
      ceilingNanodollarsPerHour: this.#settings.ceiling,
      initTimeoutMs: INIT_TIMEOUT_MS,
      lifetimeMs: LIFETIME_MS,
      stoppedKeptMs: this.#settings.stoppedKeptMs,
      workers: this.#workers(),
      allSeenAtMs: this.#startedMs + SEEN_WITHIN_MS,
      newId: () => {
        this.#ids += 1;
        return `i${this.#ids}`;
      },
    };
  }

  #patience(): Patience {
    return patienceOf(this.#scaler, { ...this.#settings, load: this.#load() });
  }

  #workerOf({ status, hasAsked, hasRun, hasReported, job, idleSinceMs, lastCallMs }: Machine): WorkerFacts {
    return {
      hasAsked,
      hasRun,
      hasFailed: hasReported,
      isSilent: false,
      running: job === null ? 0 : 1,
      idleSinceMs,
      goneAtMs: status === "running" ? Number.POSITIVE_INFINITY : lastCallMs + WORKER_GONE_AFTER_MS,
      trouble: null,
    };
  }

  #startJobs(): void {
    if (!this.#settings.isOpen) return;
    while (this.#waiting.length > 0) {
      const job = this.#waiting[0];
      if (job === undefined) return;
      const endsAtMs = this.#nowMs + job.workMs;
      if (this.#connected.length < this.#settings.connectedSlots) this.#connected.push({ job, endsAtMs });
      else {
        const free = this.#freeMachine();
        if (free === undefined) return;
        const isLast = free.fate === "dies";
        free.job = { id: job.id, endsAtMs: isLast ? this.#nowMs + DEATH_MS : endsAtMs };
      }
      this.#waiting.shift();
      this.#started.set(job.id, job);
    }
  }

  #freeMachine(): Machine | undefined {
    for (const instance of this.#rows.values()) {
      const { phase, isDrained } = instance;
      if (phase !== "ready" || isDrained || !isBillable(instance, this.#settings)) continue;
      const machine = this.#machineOf(instance);
      const asks = machine?.status === "running" && machine.hasAsked && machine.lastCallMs > 0;
      if (machine === undefined || !asks || machine.job !== null) continue;
      this.#checkLasts(instance);
      return machine;
    }
    return undefined;
  }

  /** Called before a job begins on a machine: most jobs are to be done before its hard end. */
  #checkLasts({ id, startedAtMs, endsAtMs }: Instance): void {
    const lastMs = Math.min(RETIRE_BEFORE_MS, (endsAtMs - startedAtMs) / 10);
    if (this.#nowMs > endsAtMs - lastMs) this.#break("jobs_lost", `a job begins on ${id} at the end of its life`);
  }

  #call(call: FleetCall, swept: readonly string[]): void {
    const provider = this.#providers.get(call.providerId);
    if (provider === undefined) throw new Error("there is no such provider");
    const nowMs = this.#nowMs;
    if (call.operation === "list") {
      this.#calls.listAsked(call.providerId, swept.includes(call.providerId), nowMs);
      this.#pending.push({ call, ...provider.list(nowMs) });
      return;
    }
    const instance = this.#rows.get(call.instanceId);
    if (instance === undefined) throw new Error("a call without a record");
    const name = instanceName(ENDPOINT, instance.id);
    this.#calls.asked(call, instance, nowMs);
    if (call.operation === "create" || call.operation === "start") this.#checkOpen(name);
    if (call.operation === "create") {
      this.#creates += 1;
      this.#checkCheapest(instance);
      this.#ends.set(name, instance.endsAtMs);
      this.#checkCeiling(instance);
      this.#pending.push({ call, ...provider.create(name, instance.candidate?.priceNanodollarsPerHour ?? 0, nowMs) });
      const creates = this.#accounts.map((account) => account.creates.get(name) ?? 0);
      if (creates.reduce((sum, times) => sum + times) > 1) this.#break("double_creates", name);
      return;
    }
    const ref = instance.ref ?? "";
    if (call.operation === "start") {
      this.#checkCeiling(instance);
      this.#pending.push({ call, ...provider.start(ref, nowMs) });
      return;
    }
    const machine = provider.machines.get(name);
    // Its worker is alive and works, and its broker knows it.
    const isOver = nowMs >= (this.#ends.get(name) ?? 0);
    if (isOver && machine?.job) this.#see("hard end of a job");
    if (!isOver && machine?.job && machine.status === "running" && machine.lastCallMs > 0) {
      this.#break("jobs_lost", `${name} is ended while it runs job ${machine.job.id}`);
    }
    const answered = call.operation === "stop" ? provider.stop(ref, nowMs) : provider.end(ref, nowMs);
    if (machine?.job && (machine.status === "stopped" || !provider.machines.has(name))) {
      this.#giveBack(machine.job.id);
      machine.job = null;
    }
    this.#pending.push({ call, ...answered });
  }

  /** Of several kinds of machines that may be had the cheapest one is asked for. */
  #checkCheapest({ id, candidate }: Instance): void {
    if (candidate === null || this.#settings.ceiling !== null) return;
    const price = candidate.priceNanodollarsPerHour;
    const isFree = (other: Candidate) =>
      this.#calls.isFree(other, this.#nowMs) && busyUntilMs(this.#fleet, other.providerId) === 0;
    const cheaper = this.#settings.candidates.filter((other) => other.priceNanodollarsPerHour < price);
    if (cheaper.some(isFree)) this.#break("dearer", `${id} is asked for at ${candidate.providerId}`);
  }

  /** A worker that gets no jobs keeps no other one from its place. */
  #checkDrained(): void {
    for (const { id, phase, isDrained } of this.#rows.values())
      if (phase === "ready" && isDrained) this.#break("held_up", `${id} is drained, and counts as ready`);
  }

  /** A closed endpoint has no use for another machine: what still runs stays where it is. */
  #checkOpen(name: string): void {
    if (this.#settings.isOpen) return;
    this.#break("closed", `${name} is asked for`);
  }

  /** Called before a machine is asked for: what runs at the providers, by what was said that it costs, and this one. */
  #checkCeiling({ priceNanodollarsPerHour: price, id }: Instance): void {
    const { ceiling } = this.#settings;
    if (ceiling === null) return;
    let sum = price;
    const own = instanceName(ENDPOINT, id);
    for (const { machines } of this.#accounts) {
      for (const machine of machines.values()) {
        if (machine.isPaid && !machine.isStray && machine.name !== own) sum += machine.said;
      }
    }
    if (sum > ceiling) this.#break("over_ceiling", `${sum} of ${ceiling}`);
  }

  #check(): void {
    const { stoppedKeptMs } = this.#settings;
    for (const { id, phase, goal, sinceMs, endsAtMs } of this.#rows.values()) {
      if (phase === "stopped" && this.#nowMs > sinceMs + stoppedKeptMs)
        this.#break("outlived", `${id} is kept stopped`);
      const isLeaving = phase === "wanted" || (phase === "stopping" && goal === "gone");
      // Whether a call has made or started it is known within a minute.
      if (!isLeaving && this.#nowMs > endsAtMs + CALL_LOST_AFTER_MS) this.#break("outlived", id);
    }
    const live = [...this.#rows.values()].filter(isLive);
    const { isOpen, bounds } = this.#settings;
    // A closed endpoint waits for no worker that is on its way.
    const most = isOpen ? bounds.max : 0;
    const { readyMs } = this.#patience();
    // A create under way is waited for.
    const settled = live.filter(({ call, phase }) => call === null && phase !== "creating");
    // What is on its way is kept until its worker has been there in vain, within the most that there may be.
    const kept = settled.filter(
      ({ phase, goal, readyAtMs }) =>
        readyMs !== null &&
        (phase === "starting" ? goal === null : readyAtMs !== null && this.#nowMs < readyAtMs + readyMs),
    );
    const { wanted } = this.#scaler;
    const needless = settled.length - Math.min(kept.length, Math.max(most - wanted, 0));
    if (needless > wanted) this.#break("held_up", `${needless} live of ${wanted} wanted`);
  }

  /** Notes since when a worker is wanted for which some provider could be asked. */
  #noteHeldUp(): void {
    const facts = { ceilingNanodollarsPerHour: this.#settings.ceiling };
    const isWanted = [...this.#rows.values()].some(({ phase }) => phase === "wanted");
    const isCrashing = this.#fleet.crashes.notBeforeMs > this.#nowMs;
    const could =
      isWanted &&
      !isCrashing &&
      this.#settings.candidates.some(
        (candidate) =>
          (!isBlocked(this.#fleet, candidate, this.#nowMs) || this.#calls.isFree(candidate, this.#nowMs)) &&
          busyUntilMs(this.#fleet, candidate.providerId) === 0 &&
          isAffordable(this.#fleet, candidate.priceNanodollarsPerHour, facts),
      );
    if (!could) this.#couldSinceMs = Number.POSITIVE_INFINITY;
    else this.#couldSinceMs = Math.min(this.#couldSinceMs, this.#nowMs);
    if (this.#nowMs - this.#couldSinceMs > WAITED_MAX_MS)
      this.#break("held_up", "a worker is wanted, and could be asked for");
  }
}
