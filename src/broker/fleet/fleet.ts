// Keeps the machines of an endpoint: at the end of each call and at its own times the scaler says how many workers are wanted, and the
// reconciler which calls to providers that takes. Records are written before a call is made, and no call is waited for in a decision.
import type { CallOf } from "../../contract/broker.ts";
import type { Decision, FleetSettings, ProviderCall } from "../../contract/fleet.ts";
import { fail, messageOf, ok, type Result } from "../../core/failure.ts";
import type { FleetWait } from "../../core/fleet/explain.ts";
import type { FleetFacts } from "../../core/fleet/fleet-facts.ts";
import type { FleetState } from "../../core/fleet/fleet-state.ts";
import { type InstancePhase, isLive } from "../../core/fleet/instance.ts";
import { INSTANCE_ID_RANDOM_BYTES, makeInstanceId } from "../../core/fleet/instance-id.ts";
import { STOPPED_KEPT_MS } from "../../core/fleet/limits.ts";
import type { ProviderAnswer } from "../../core/fleet/provider.ts";
import { type FleetCall, reconcile } from "../../core/fleet/reconcile.ts";
import {
  beginScaling,
  letGo,
  patienceOf,
  type ScalerState,
  type ScalingFacts,
  type ScalingReason,
  scale,
} from "../../core/fleet/scaler.ts";
import { newStarts } from "../../core/fleet/starts.ts";
import { takeAnswer } from "../../core/fleet/take-answer.ts";
import { takeList } from "../../core/fleet/take-list.ts";
import { log } from "../../log.ts";
import type { Timed } from "../alarm.ts";
import type { LbSlots } from "../lb/slots.ts";
import type { BrokerState } from "../state.ts";
import type { Warm } from "../store/instances.ts";
import {
  explainWait,
  type Least,
  leastOf,
  machinesThatLeave,
  priceBeginsAtMs,
  pricedCandidates,
  stayFacts,
} from "./facts.ts";
import { jobWork } from "./job-work.ts";
import { sight } from "./lost-machines.ts";
import { calledMachine, desiredOf } from "./provider-call.ts";
import { requestWork } from "./request-work.ts";
import type { FleetWork } from "./work.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** What an endpoint without a fleet still does with machines that it has: it ends them. */
const NO_FLEET: FleetSettings = {
  rule: { type: "REQUEST_COUNT", requests: 1 },
  min: 0,
  max: 0,
  idleTimeoutMs: 0,
  slots: 1,
  schedule: null,
  ceilingNanodollarsPerHour: null,
  initTimeoutMs: NEVER,
  lifetimeMs: NEVER,
  keepsStopped: false,
  release: 0,
  candidates: [],
};

const NO_MACHINES = {
  kind: "conflict",
  message: "the endpoint has no fleet: that needs an image, a GPU and a provider that has such machines",
} as const;

interface Parts extends BrokerState {
  readonly lb: LbSlots;
}

export class Fleet implements Timed {
  readonly #parts: Parts;
  #scaler: ScalerState;
  #warm: Warm | null;
  /** The least that there are to be, with what it was computed from. */
  #least: { readonly settings: FleetSettings; readonly warm: Warm | null; readonly least: Least } | null = null;
  #dueAtMs = 0;
  /** The settings that the machines were last looked at by: others may end some of them without a change of how many are wanted. */
  #seen: BrokerState["endpoint"]["settings"] = null;
  /** The newest number of a state that was sent to a provider. */
  #number = 0;
  /** Runs what follows a change; the wake of the broker is made after this part. */
  #wake: () => Promise<void> = async () => undefined;

  constructor(parts: Parts, nowMs: number) {
    this.#parts = parts;
    this.#warm = parts.instanceRows.readWarm();
    this.#scaler = beginScaling([...parts.machines.all()].filter(isLive).length, nowMs);
  }

  wakeBy(goOn: () => Promise<void>): void {
    this.#wake = goOn;
  }

  nextAtMs(): number {
    return this.#dueAtMs;
  }

  run(nowMs: number): boolean {
    this.look(nowMs);
    return false;
  }

  /**
   * Asks the providers of the endpoint what they have, whether a record names them or not: what nobody owns gets a record, by which it is
   * ended. While there are records this is done by itself.
   */
  sweep(nowMs: number): void {
    const { candidates = [] } = this.#parts.endpoint.settings?.fleet ?? {};
    const providers = new Set(candidates.map(({ providerId }) => providerId));
    if (providers.size > 0) this.look(nowMs, [...providers]);
  }

  /** Called at the end of each call: an endpoint without fleet and machines costs nothing here. `swept`: as the reconciler has it. */
  look(nowMs: number, swept: readonly string[] = []): void {
    const { endpoint, machines } = this.#parts;
    const own = endpoint.settings?.fleet ?? null;
    if (own === null && machines.size === 0) {
      this.#dueAtMs = NEVER;
      return;
    }
    const settings = own ?? NO_FLEET;
    const leaving = machinesThatLeave(this.#parts, nowMs);
    const { load, overdueAtMs, knownAtMs } = this.#work.loadOf(settings, leaving, nowMs);
    const least = this.#leastNow(settings, nowMs);
    const before = this.#scaler.wanted;
    const facts: ScalingFacts = {
      rule: settings.rule,
      load,
      bounds: { min: least.min, max: settings.max, idleTimeoutMs: settings.idleTimeoutMs },
      isOpen: own !== null && endpoint.deletion === null && endpoint.settings?.paused === false,
    };
    const newlyLeaving = [...leaving].filter(({ phase }) => phase === "ready");
    const scaled = scale(letGo(this.#scaler, newlyLeaving.length), facts, nowMs);
    const decision =
      scaled.reason === null
        ? null
        : decisionOf(before, scaled.state.wanted, scaled.reason, facts, { nowMs, ...this.#counts() });
    const isAsked = swept.length > 0 || endpoint.settings !== this.#seen;
    const isChanged = decision !== null || isAsked || newlyLeaving.length > 0;
    const isDue = isChanged || nowMs >= this.#dueAtMs || this.#isOnItsWay(nowMs);
    // A job that waits for too long adds no worker where there may be no more.
    const mayRise = facts.isOpen && scaled.state.wanted < settings.max;
    const laterMs = Math.min(scaled.nextAtMs, mayRise ? overdueAtMs : NEVER, knownAtMs, least.changesAtMs);
    if (!isDue) {
      this.#scaler = scaled.state;
      this.#dueAtMs = Math.min(this.#dueAtMs, laterMs);
      return;
    }
    const patience = patienceOf(scaled.state, facts);
    const { isOpen } = facts;
    const now = { ...this.#facts(settings, scaled.state.wanted, least.min, nowMs), isOpen, patience, swept };
    const plan = reconcile(machines.state, now);
    this.#keep(plan.state, decision, nowMs);
    this.#seen = endpoint.settings;
    this.#scaler = scaled.state;
    // Without a record nothing waits for a machine, and a price that begins wakes nobody.
    const priceAtMs = plan.state.instances.size === 0 ? NEVER : priceBeginsAtMs(endpoint, nowMs);
    this.#dueAtMs = Math.min(plan.nextAtMs, laterMs, priceAtMs);
    this.#takeOut(nowMs);
    this.#holdActive(nowMs);
    for (const call of plan.calls) this.#parts.platform.launch(this.#make(call, nowMs), "provider");
  }

  /** Kept until it changes: each call of the broker asks for it, and to read a zone's clock takes a tenth of a millisecond. */
  #leastNow(settings: FleetSettings, nowMs: number): Least {
    const kept = this.#least;
    const isSame = kept !== null && kept.settings === settings && kept.warm === this.#warm;
    if (isSame && nowMs >= kept.least.atMs && nowMs < kept.least.changesAtMs) return kept.least;
    const least = leastOf(settings, this.#warm, nowMs);
    this.#least = { settings, warm: this.#warm, least };
    return least;
  }

  /**
   * Writes what has changed, and how long the machines took that are ready now. Workers whose machines end are held no longer, and get no
   * more requests.
   */
  #keep(next: FleetState, decision: Omit<Decision, "number"> | null, nowMs: number): void {
    const { machines, activeHolds, kept, lb } = this.#parts;
    if (next === machines.state && decision === null) return;
    const starts = newStarts(machines.state, next);
    machines.keep(next, decision);
    kept.noteStarts(starts, nowMs);
    activeHolds.keysChanged(nowMs);
    if (this.#isBalanced) lb.configured(nowMs);
  }

  get #work(): FleetWork {
    return this.#isBalanced ? requestWork(this.#parts) : jobWork(this.#parts);
  }

  /** Its workers are called, and call nobody. */
  get #isBalanced(): boolean {
    return this.#parts.endpoint.settings?.kind === "load_balancer";
  }

  /** Is there a machine that a call of its worker, the end of a job, or what /ping has found, brings on? */
  #isOnItsWay(nowMs: number): boolean {
    const work = this.#work;
    for (const instance of this.#parts.machines.all()) {
      const { phase } = instance;
      if (phase === "creating" || phase === "starting" || phase === "draining") return true;
      if (phase === "ready" && work.isTroubled(instance, nowMs)) return true;
    }
    return false;
  }

  #counts(): Readonly<Record<string, number>> {
    const counts = { ready: 0, starting: 0 };
    for (const { phase } of this.#parts.machines.all()) {
      if (phase === "ready") counts.ready += 1;
      if (phase === "wanted" || phase === "creating" || phase === "starting") counts.starting += 1;
    }
    return counts;
  }

  #facts(
    settings: FleetSettings,
    wanted: number,
    active: number,
    nowMs: number,
  ): Omit<FleetFacts, "isOpen" | "patience" | "swept"> {
    const work = this.#work;
    return {
      ...stayFacts(this.#parts.endpoint, nowMs),
      jitter: Math.random(),
      wanted,
      active,
      release: settings.release,
      candidates: pricedCandidates(this.#parts.endpoint, nowMs),
      ceilingNanodollarsPerHour: settings.ceilingNanodollarsPerHour,
      initTimeoutMs: settings.initTimeoutMs,
      lifetimeMs: settings.lifetimeMs,
      stoppedKeptMs: settings.keepsStopped && this.#parts.endpoint.deletion === null ? STOPPED_KEPT_MS : 0,
      workers: work.workers(nowMs),
      areCalled: this.#isBalanced,
      allSeenAtMs: work.allSeenAtMs,
      newId: () => makeInstanceId(crypto.getRandomValues(new Uint8Array(INSTANCE_ID_RANDOM_BYTES))),
    };
  }

  /** Workers whose machines drain or end get no more jobs from this turn on. Those whose machines go on after all get some again. */
  #takeOut(nowMs: number): void {
    const { roster, machines, pullSlots } = this.#parts;
    for (const worker of roster.all()) {
      const phase = machines.get(worker.keyId)?.phase;
      // What its process has shown says nothing of the one that a later start of the machine begins.
      const isOver = (phase === "stopping" || phase === "stopped") && !pullSlots.runs(worker.holderId);
      if (isOver) {
        pullSlots.forget(worker);
        continue;
      }
      const draining = machines.isLeaving(worker.keyId, nowMs);
      if (phase === undefined || worker.draining === draining) continue;
      worker.draining = draining;
      pullSlots.ask(worker, nowMs);
    }
  }

  /** An active machine of a load-balanced endpoint is held from its readiness on. One that was not written down yet is held now. */
  #holdActive(nowMs: number): void {
    const { machines, activeHolds } = this.#parts;
    if (!this.#isBalanced) return;
    for (const { id, phase, rateKind, candidate } of machines.all()) {
      if (phase !== "ready" || rateKind !== "active" || candidate === null) continue;
      activeHolds.machineReady(id, candidate.tier, nowMs);
    }
  }

  /** Makes one call, and takes its answer in a turn of its own. */
  async #make(call: FleetCall, nowMs: number): Promise<void> {
    const answer = await this.#ask(this.#toCall(call, nowMs));
    const { machines, endpoint, activeHolds } = this.#parts;
    const { lost, there, unproven } = await sight(this.#parts, this.#work, call.providerId, answer);
    const moment = { nowMs: Date.now(), jitter: Math.random() };
    const known = { endpointId: endpoint.id, unproven, unreachable: new Set(lost.keys()), there };
    const next =
      call.operation === "list"
        ? takeList(machines.state, { ...call, ...known }, answer, moment)
        : takeAnswer(machines.state, call, answer, moment);
    for (const { id, phase } of machines.all()) {
      // Whatever a list ends was gone before.
      const isGone = isServing(phase) && !isServing(next.instances.get(id)?.phase);
      if (isGone) activeHolds.machineLost(id, lost.get(id) ?? moment.nowMs, moment.nowMs);
    }
    this.#keep(next, null, moment.nowMs);
    this.#dueAtMs = 0;
    await this.#wake();
  }

  async #ask(call: ProviderCall): Promise<ProviderAnswer> {
    const { platform, endpoint } = this.#parts;
    try {
      const answer = await platform.operate(call);
      if (answer.kind !== "listed") {
        const { operation, machine } = call;
        log("provider_answered", {
          endpoint: endpoint.id,
          operation,
          instance: machine?.instanceId ?? null,
          answer: answer.kind,
        });
      }
      return answer;
    } catch (error) {
      // Our own entrypoint has failed: whether the provider was asked is not known.
      return { kind: "unclear", detail: messageOf(error) };
    }
  }

  #toCall(call: FleetCall, nowMs: number): ProviderCall {
    const { machines, endpoint } = this.#parts;
    this.#number = Math.max(this.#number + 1, nowMs);
    const machine = call.operation === "list" ? undefined : machines.get(call.instanceId);
    return {
      endpointId: endpoint.id,
      providerId: call.providerId,
      operation: call.operation,
      machine: machine === undefined ? null : calledMachine(machine),
      desired: { number: this.#number, machines: desiredOf(machines.all(), call.providerId) },
    };
  }

  /** Why no worker of the fleet is there yet, for a tenant's jobs; null: none is on its way. */
  explain(tenantId: string, nowMs: number): FleetWait | null {
    return explainWait(this.#parts, nowMs, tenantId);
  }

  async prewarm(call: CallOf<"prewarm">): Promise<Result<{ readonly wanted: number }>> {
    const { endpoint, instanceRows } = this.#parts;
    const opened = endpoint.open(call.settingsVersion);
    if (!opened.ok) return opened;
    if (opened.value.tenantId !== call.tenantId) return fail({ kind: "not_found", what: "endpoint" });
    if (opened.value.fleet === null) return fail(NO_MACHINES);
    this.#warm = { workers: call.workers, untilMs: call.untilMs };
    instanceRows.writeWarm(this.#warm);
    await this.#wake();
    return ok({ wanted: this.#scaler.wanted });
  }

  listDecisions({ tenantId, below, limit }: CallOf<"listDecisions">): readonly Decision[] | null {
    const { endpoint, instanceRows } = this.#parts;
    // Without settings nothing was ever decided.
    if (endpoint.settings === null) return [];
    return endpoint.settings.tenantId === tenantId ? instanceRows.decisions(below, limit) : null;
  }
}

function isServing(phase: InstancePhase | undefined): boolean {
  return phase === "ready" || phase === "draining";
}

function decisionOf(
  from: number,
  to: number,
  reason: ScalingReason,
  { load, bounds }: ScalingFacts,
  { nowMs, ...counts }: { readonly nowMs: number } & Readonly<Record<string, number>>,
): Omit<Decision, "number"> {
  const { waiting, overdue, running, spareSlots } = load;
  const { min, max } = bounds;
  return { atMs: nowMs, from, to, reason, inputs: { waiting, overdue, running, spareSlots, min, max, ...counts } };
}
