// What the records of machines promise, by the truth of their providers: no record goes while its machine is there, nor is a machine that
// works taken for gone; what has no use is not kept.
import { type Instance, isLive } from "../../../src/core/fleet/instance.ts";
import { REFUSED_MS } from "../../../src/core/fleet/limits.ts";
import { instanceName } from "../../../src/core/fleet/provider.ts";
import type { CallPromises } from "./calls.ts";
import type { PromiseName } from "./promises.ts";
import type { Machine, SimProvider } from "./provider.ts";
import { isBillable, type SimSettings } from "./settings.ts";

type Rows = ReadonlyMap<string, Instance>;

/** The endpoint at this moment, as it truly is. */
interface Moment {
  readonly nowMs: number;
  readonly settings: SimSettings;
  readonly initTimeoutMs: number;
  readonly machineOf: (instance: Instance) => Machine | undefined;
}

const OVER_CEILING = "All machines together would cost more than the endpoint may.";
/** Why a machine ends that is there. What a record says else of one that works is a mistake. */
const KNOWN_REASONS = [
  /^The work of its tier has no price/,
  /^Its lifetime is (over|shorter than its start)\.$/,
  /^It did not ask for a job within/,
  /^All machines together would cost more/,
  /^Its owner has drained its worker\.$/,
  /^No record owned it\.$/,
  /^Its provider has taken its end, and still shows it/,
];

export class RecordPromises {
  readonly #endpointId: string;
  readonly #accounts: readonly SimProvider[];
  readonly #calls: CallPromises;
  readonly #break: (name: PromiseName, note: string) => void;
  /** What machines cost as their provider has shown, nano-dollars an hour. */
  readonly #shown = new Map<string, number>();

  constructor(
    endpointId: string,
    accounts: readonly SimProvider[],
    calls: CallPromises,
    onBroken: (name: PromiseName, note: string) => void,
  ) {
    this.#endpointId = endpointId;
    this.#accounts = accounts;
    this.#calls = calls;
    this.#break = onBroken;
  }

  showed(instanceId: string, price: number): void {
    this.#shown.set(instanceId, Math.max(this.#shown.get(instanceId) ?? 0, price));
  }

  /** What a look or an answer has changed. `words`: those of the provider's answer. */
  changed(before: Rows, after: Rows, words: string | null, moment: Moment): void {
    if (before === after) return;
    this.#checkWarm(before, after, moment);
    for (const [id, instance] of before) {
      const next = after.get(id);
      if (next === instance) continue;
      if (next === undefined) this.#checkDropped(instance);
      else if (next.phase === "stopping" && next.goal === "gone" && instance.phase !== "stopping") {
        this.#checkGivenUp(instance, next, moment);
        this.#checkMistaken(instance, next, words, moment);
      } else if (next.phase === "draining" && instance.phase === "ready")
        this.#checkBusy(instance, next, after, moment);
      if (next !== undefined) this.#noteDearer(instance, next, moment);
    }
  }

  /** What there is after a look. */
  looked(rows: Rows, { settings, machineOf }: Moment): void {
    let cost = 0;
    let canEnd = false;
    for (const instance of rows.values()) {
      const { id, phase, call, priceNanodollarsPerHour: price } = instance;
      // After a start of the broker a worker that is there has to call first.
      const isSeen = (machineOf(instance)?.lastCallMs ?? 0) !== 0;
      const isUsable = (phase === "ready" && isSeen) || phase === "starting" || phase === "stopped";
      if (isUsable && call === null && !isBillable(instance, settings))
        this.#break("unbilled", `${id} is kept ${phase}`);
      if (!isLive(instance) || phase === "wanted") continue;
      cost += Math.max(price, this.#shown.get(id) ?? 0);
      canEnd ||= phase !== "creating" && call === null;
    }
    if (settings.ceiling !== null && canEnd && cost > settings.ceiling)
      this.#break("over_ceiling", `machines for ${cost} of ${settings.ceiling} are kept`);
  }

  /** A stopped machine is started again before another one is made, unless its provider starts it not at the moment. */
  #checkWarm(before: Rows, after: Rows, { nowMs, settings }: Moment): void {
    if (settings.ceiling !== null) return;
    const isMade = [...after.values()].some(({ id, providerId }) => providerId === null && !before.has(id));
    const isReady = (one: Instance) => one.phase === "stopped" && this.#calls.mayStart(one, nowMs);
    if (isMade && [...after.values()].some(isReady))
      this.#break("held_up", "another machine is wanted beside a stopped one");
  }

  /** A worker that is not needed and has a job stays while there is another one that has none. */
  #checkBusy(before: Instance, after: Instance, rows: Rows, { nowMs, settings, machineOf }: Moment): void {
    if (!machineOf(before)?.job || after.lastError !== before.lastError) return;
    const isIdle = (one: Instance) => {
      const machine = machineOf(one);
      const isKnown =
        one.phase === "ready" && one.rateKind === "flex" && machine?.status === "running" && machine.lastCallMs > 0;
      // One that has just become ready is kept for a while in any case.
      const isPatient = nowMs < (one.readyAtMs ?? nowMs) + settings.bounds.idleTimeoutMs;
      return isKnown && machine.job === null && !isPatient;
    };
    if ([...rows.values()].some(isIdle))
      this.#break("held_up", `${before.id} has a job, and is to end before an idle one`);
  }

  #checkDropped(instance: Instance): void {
    const name = instanceName(this.#endpointId, instance.id);
    if (this.#accounts.some((account) => account.owes(name)))
      this.#break("leaked_instances", `${instance.id} has no record any more: ${instance.phase} ${instance.lastError}`);
  }

  /** Another machine may be made in its place now. */
  #checkGivenUp(before: Instance, after: Instance, { nowMs, settings, initTimeoutMs, machineOf }: Moment): void {
    if (before.phase !== "creating" || nowMs >= before.startedAtMs + initTimeoutMs || !isBillable(before, settings))
      return;
    const machine = machineOf(before);
    // Its worker has called, or a list has shown what became of it.
    const isKnown = after.ref !== null || machine?.hasAsked === true || machine?.hasReported === true;
    if (!isKnown && !this.#calls.wasLookedFor(before))
      this.#break("double_creates", `${before.id} is given up before it was asked for: ${after.lastError}`);
  }

  #checkMistaken(before: Instance, after: Instance, words: string | null, { machineOf }: Moment): void {
    const { lastError } = after;
    const machine = machineOf(before);
    if (machine === undefined || machine.fate !== "fine" || lastError === null || lastError === before.lastError)
      return;
    const works = machine.status === (before.phase === "stopped" ? "stopped" : "running");
    if (!works || lastError === words || KNOWN_REASONS.some((reason) => reason.test(lastError))) return;
    this.#break("mistaken", `${before.id} was ${before.phase}, and works: ${lastError}`);
  }

  /** One that is dearer than was said is ended for that: the next one of its kind would be as dear. */
  #noteDearer(before: Instance, after: Instance, { nowMs }: Moment): void {
    const { candidate } = before;
    if (after.lastError !== OVER_CEILING || candidate === null) return;
    if ((this.#shown.get(before.id) ?? 0) <= candidate.priceNanodollarsPerHour) return;
    this.#calls.maybeNotToBeHad(before, REFUSED_MS, nowMs);
    if (isLive(before) && !isLive(after)) this.#calls.notToBeHad(before, REFUSED_MS, nowMs);
  }
}
