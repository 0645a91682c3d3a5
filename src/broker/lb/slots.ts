// Slots for requests of a load-balanced endpoint, as the edge asks for them, and the requests' bill. The line, the
// slots, the workers' health and one timer for all of it are in memory: while a request waits or runs, the timer also
// keeps the object from being evicted, which would lose the slots.
import type { CallOf } from "../../contract/broker.ts";
import type { LbEntry, LbOutcome, LbTicket } from "../../contract/load-balancer.ts";
import type { UsageLine } from "../../contract/usage.ts";
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import { priceRequest } from "../../core/job/pricing.ts";
import { findYielding, inFairOrder } from "../../core/lb/line.ts";
import { type LbLife, LbPool, type LbWish, type ProbedHealth, type ProbeEvery } from "../../core/lb/pool.ts";
import { billedRequestId } from "../../core/lb/request-id.ts";
import {
  LB_PLACE_KEPT_MS,
  LB_PROBE_EVERY_MS,
  LB_PROBE_STARTING_MS,
  LB_PROBE_UNTIL_MS,
  LB_PROBE_WAITED_MS,
  LB_RECALL_MS,
  LB_RENEW_MS,
  LB_WAIT_MAX_MS,
  LB_WAITING_MAX,
  WAIT_SLICE_MAX_MS,
} from "../../core/limits.ts";
import { log } from "../../log.ts";
import { explainWait } from "../fleet/facts.ts";
import { rateOf } from "../jobs/leasing.ts";
import type { BrokerState } from "../state.ts";
import { membersOf } from "./members.ts";

type Entered = Result<LbEntry>;

/** A place in the line. `answer` null: the edge is between two slices of a wait; the place is kept until `untilMs`. */
interface Waiting {
  readonly requestId: string;
  readonly tenantId: string;
  readonly wish: LbWish;
  readonly token: string;
  /** Since when it waits, epoch ms. */
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly answer: ((entered: Entered) => void) | null;
}

const UNPAID: ReadonlySet<LbOutcome> = new Set<LbOutcome>(["worker_failed", "unreachable", "unused"]);
/** How much the newest request counts in the mean duration: enough to follow a change within some ten requests. */
const NEWEST_WEIGHT = 0.2;

export class LbSlots {
  readonly #parts: BrokerState;
  readonly #pool = new LbPool();
  /** By request, in order of arrival. */
  readonly #line = new Map<string, Waiting>();
  /** Tickets of requests that the endpoint's deletion has ended, and that their edges have not given back yet. */
  readonly #endedTokens = new Set<string>();
  #lastRequestAtMs = 0;
  #meanMs = 0;
  /** Until then the broker may lack running requests that an earlier start of the object has let in, epoch ms. */
  readonly recalledAtMs: number;
  /** Since when no request has had a slot, epoch ms. */
  #emptySinceMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  /** Runs what follows a change; the wake of the broker is made after this part. */
  #wake: () => Promise<void> = async () => undefined;

  constructor(parts: BrokerState, nowMs: number) {
    this.#parts = parts;
    this.#emptySinceMs = nowMs;
    this.recalledAtMs = parts.lbMark.isSet ? nowMs + LB_RECALL_MS : nowMs;
    this.configured(nowMs);
  }

  wakeBy(goOn: () => Promise<void>): void {
    this.#wake = goOn;
  }

  /** Called when settings or machines have changed: there may be other workers, slots or rates. */
  configured(nowMs: number): void {
    const { settings } = this.#parts.endpoint;
    if (settings?.kind !== "load_balancer") return;
    const { deletion } = this.#parts.endpoint;
    if (deletion !== null) this.#refuseLine(deletion);
    this.#pool.configure(membersOf(this.#parts).filter((member) => rateOf(member, settings, nowMs) !== undefined));
    this.#tick(nowMs);
  }

  async enterLb(call: CallOf<"enterLb">): Promise<Entered> {
    const opened = this.#parts.endpoint.open(call.settingsVersion);
    if (!opened.ok) return opened;
    if (this.#parts.usageOutbox.isFull)
      return fail({ kind: "unavailable", message: "usage cannot be recorded at the moment" });
    const nowMs = Date.now();
    this.#lastRequestAtMs = nowMs;
    const wish: LbWish = { affinity: call.affinity, avoidIds: call.avoidIds };
    const token = `${call.requestId}/${call.avoidIds.length}`;
    // If this is the same call once more, the answer of the first one was lost, and with it this slot.
    this.#pool.release(token);
    const isKnown = this.#line.has(call.requestId);
    // Requests that are still in line afterwards cannot use what is free, so that this request overtakes none.
    this.#tick(nowMs);
    const { requestId, tenantId } = call;
    const sinceMs = this.#line.get(requestId)?.sinceMs ?? nowMs;
    const entered = this.#tryEnter({ wish, token, tenantId, sinceMs }, nowMs);
    if (entered !== null) {
      this.#line.delete(requestId);
      this.#follow();
      return entered;
    }
    if (!isKnown && this.#line.size >= LB_WAITING_MAX && !this.#makeRoom(tenantId, nowMs))
      return this.#noWorker(tenantId, nowMs);
    return new Promise((answer) => {
      const untilMs = nowMs + Math.min(call.holdMs, WAIT_SLICE_MAX_MS);
      this.#line.set(requestId, { requestId, tenantId, wish, token, sinceMs, untilMs, answer });
      // This also probes the workers, if this request is the first to wait for them.
      this.#tick(nowMs);
      this.#follow();
    });
  }

  /** A broker that has lost its memory gets the slot of a running request back by the request's renewal. */
  renewLb(ticket: LbTicket): boolean {
    const nowMs = Date.now();
    const { settings, deletion } = this.#parts.endpoint;
    // Its edge ends a request that is not renewed, within LB_RENEW_MS, and gives the ticket back.
    if (deletion !== null) this.#endedTokens.add(ticket.token);
    if (settings === null || deletion !== null) return false;
    if (this.#pool.renew(ticket.token, nowMs)) return true;
    if (ticket.incarnation === this.#parts.endpoint.incarnation) return false;
    // A renewal that comes after the time for all renewals may find its slot given to another request.
    if (nowMs >= this.recalledAtMs && this.#pool.isFull(ticket.upstream.id)) return false;
    this.#occupy(ticket, nowMs);
    return true;
  }

  /** A usage line may be owed afterwards, for which the caller arms the alarm. */
  leaveLb({ requestId, tenantId, ticket, outcome }: CallOf<"leaveLb">): void {
    const nowMs = Date.now();
    // Without settings no ticket was ever given, but by the object that was emptied since: its lines are all posted.
    if (this.#parts.endpoint.settings === null) return;
    if (ticket === null) {
      this.#line.get(requestId)?.answer?.(this.#waitOn(tenantId, nowMs));
      this.#line.delete(requestId);
      return;
    }
    const held = this.#pool.release(ticket.token);
    // A repeated call, or a slot not renewed in time. A ticket of an earlier start counts: only memory of it is lost.
    if (!held && ticket.incarnation === this.#parts.endpoint.incarnation) return;
    if (this.#pool.outstanding === 0) this.#emptySinceMs = nowMs;
    // Whatever its edge makes of the end, a request that the deletion has ended is billed as one whose client has left.
    const end = this.#endedTokens.delete(ticket.token) ? "client_left" : outcome;
    this.#learn(ticket, end, nowMs);
    if (!UNPAID.has(end)) this.#bill(requestId, tenantId, ticket, nowMs);
    this.#tick(nowMs);
  }

  /** Returns a worker's state for the list of workers; null: the worker's tier has no rate. */
  look(upstreamId: string, nowMs: number): ReturnType<LbPool["look"]> {
    return this.#pool.look(upstreamId, nowMs);
  }

  lifeOf(workerId: string, nowMs: number): LbLife | null {
    return this.#pool.lifeOf(workerId, nowMs);
  }

  freeSlots(nowMs: number, isCounted: (workerId: string) => boolean): number {
    return this.#pool.freeSlots(nowMs, isCounted);
  }

  /** Since when each request waits that another worker would help, epoch ms. */
  *waitingSince(): Iterable<number> {
    for (const { wish, sinceMs } of this.#line.values()) if (!isBound(wish)) yield sinceMs;
  }

  /** A fleet follows what requests do. An endpoint without one is spared the wake. */
  #follow(): void {
    const { endpoint, machines, platform } = this.#parts;
    if ((endpoint.settings?.fleet ?? null) === null && machines.size === 0) return;
    platform.launch(this.#wake(), "fleet");
  }

  #learn(ticket: LbTicket, outcome: LbOutcome, nowMs: number): void {
    const { upstream, startedAtMs, waitedMs = 0, cold = false } = ticket;
    const isThere = this.#pool.isAt(upstream);
    if (outcome === "unreachable" && isThere) this.#pool.unreachable(upstream.id, nowMs);
    if (outcome !== "served") return;
    if (isThere) this.#pool.served(upstream.id, startedAtMs, nowMs);
    const tookMs = nowMs - startedAtMs;
    this.#parts.kept.timings.addRequest({ cold, endedAtMs: nowMs, waitedMs, ranMs: tookMs });
    this.#meanMs = this.#meanMs === 0 ? tookMs : this.#meanMs + (tookMs - this.#meanMs) * NEWEST_WEIGHT;
  }

  #bill(requestId: string, tenantId: string, ticket: LbTicket, nowMs: number): void {
    const { upstream, startedAtMs, nanodollarsPerSecond } = ticket;
    const { tier, rateKind, slots } = upstream;
    const durationMs = Math.max(nowMs - startedAtMs, 0);
    const line: UsageLine = {
      source: requestId,
      seq: 1,
      endpointId: this.#parts.endpoint.id,
      jobId: billedRequestId(requestId),
      tier,
      rateKind,
      slots,
      nanodollarsPerSecond,
      ...priceRequest({ durationMs, kind: rateKind, nanodollarsPerSecond, slots }),
      startedAtMs,
      finishedAtMs: nowMs,
      tokens: null,
    };
    const { store, kept, usageOutbox } = this.#parts;
    const finishSeq = kept.numbers.takeFinishSeq(() => store.transaction(() => kept.write(nowMs)));
    usageOutbox.owe(finishSeq, tenantId, line, nowMs);
  }

  /** Returns a slot or a refusal; null: the request must wait. */
  #tryEnter(
    { wish, token, tenantId, sinceMs }: Pick<Waiting, "wish" | "token" | "tenantId" | "sinceMs">,
    nowMs: number,
  ): Entered | null {
    const { settings, incarnation } = this.#parts.endpoint;
    if (settings === null || this.#isPaused() || nowMs < this.recalledAtMs) return null;
    const choice = this.#pool.choose(wish, nowMs);
    if (choice.kind === "gone") return fail({ kind: "affinity_gone" });
    if (choice.kind === "none_left") return ok({ kind: "none_left" });
    if (choice.kind !== "worker") return null;
    const members = membersOf(this.#parts);
    const upstream = members.find(({ id }) => id === choice.id);
    const nanodollarsPerSecond = upstream === undefined ? undefined : rateOf(upstream, settings, nowMs);
    if (upstream === undefined || nanodollarsPerSecond === undefined) return null;
    const price = { upstream, startedAtMs: nowMs, nanodollarsPerSecond };
    const cold = this.#parts.machines.isReadyOnlySince(upstream.id, sinceMs);
    const ticket: LbTicket = { token, tenantId, incarnation, ...price, waitedMs: nowMs - sinceMs, cold };
    this.#occupy(ticket, nowMs);
    return ok({ kind: "ticket", ticket, workers: members.filter(({ id }) => !this.#isStarting(id, nowMs)).length });
  }

  /** Is it a machine of the fleet whose worker is not ready yet? */
  #isStarting(id: string, nowMs: number): boolean {
    const phase = this.#parts.machines.get(id)?.phase ?? "ready";
    return phase !== "ready" && this.#pool.look(id, nowMs)?.health !== "ready";
  }

  #occupy(ticket: LbTicket, nowMs: number): void {
    this.#parts.lbMark.set();
    this.#pool.occupy(ticket.upstream.id, ticket, nowMs);
    this.#arm(nowMs);
  }

  /** Does all that is due by time alone, and then gives out whatever can be given out. */
  #tick(nowMs: number): void {
    const givenUp = this.#pool.releaseGivenUp(nowMs);
    if (givenUp > 0) {
      log("lb_given_up", { endpoint: this.#parts.endpoint.id, requests: givenUp });
      if (this.#pool.outstanding === 0) this.#emptySinceMs = nowMs;
    }
    this.#serve(nowMs);
    for (const id of this.#pool.takeDueProbes(this.#probeEveryMs(nowMs), nowMs)) void this.probe(id);
    if (this.#parts.lbMark.isSet && nowMs >= this.#unmarkAtMs()) this.#parts.lbMark.clear();
    this.#arm(nowMs);
  }

  #serve(nowMs: number): void {
    if (this.#line.size === 0) this.#pool.forgetTurns();
    const places = this.#line.values();
    // While the line is long, mostly no slot is free. The order does not matter then, so it is not computed.
    const inOrder = this.#pool.hasRoom(nowMs) ? inFairOrder(places, (id) => this.#pool.shareOf(id)) : [...places];
    for (const place of inOrder) {
      const { requestId, wish, untilMs, answer } = place;
      const isOver = untilMs <= nowMs;
      if (answer === null) {
        if (isOver) this.#line.delete(requestId);
        continue;
      }
      const entered = this.#pool.hasRoom(nowMs) || isAnsweredWithoutRoom(wish) ? this.#tryEnter(place, nowMs) : null;
      if (entered !== null) this.#line.delete(requestId);
      else if (isOver) this.#line.set(requestId, { ...place, untilMs: nowMs + LB_PLACE_KEPT_MS, answer: null });
      else continue;
      answer(entered ?? this.#waitOn(place.tenantId, nowMs));
    }
  }

  #refuseLine(failure: Failure): void {
    for (const { answer } of this.#line.values()) answer?.(fail(failure));
    this.#line.clear();
  }

  /** False: the line is full, and no request in it must yield to one of this tenant. */
  #makeRoom(tenantId: string, nowMs: number): boolean {
    const yielding = findYielding(this.#line.values(), tenantId);
    if (yielding === null) return false;
    this.#line.delete(yielding.requestId);
    yielding.answer?.(this.#noWorker(yielding.tenantId, nowMs));
    return true;
  }

  #noWorker(tenantId: string, nowMs: number): Entered {
    return fail({ kind: "no_worker", ...this.#prospect(tenantId, nowMs) });
  }

  #waitOn(tenantId: string, nowMs: number): Entered {
    return ok({ kind: "wait", ...this.#prospect(tenantId, nowMs) });
  }

  #prospect(tenantId: string, nowMs: number): { readonly retryAfterSeconds: number; readonly why: string | null } {
    const why = explainWait(this.#parts, nowMs, tenantId)?.detail ?? null;
    return { retryAfterSeconds: this.#retryAfterSeconds(nowMs), why };
  }

  /** Asks a worker now, whenever it was asked last. Null: it gets no requests, or the call itself has failed. */
  async probe(id: string): Promise<ProbedHealth | null> {
    const upstream = membersOf(this.#parts).find((candidate) => candidate.id === id);
    let health: ProbedHealth | null = null;
    try {
      if (upstream !== undefined) health = await this.#parts.platform.ping(upstream);
    } catch (error) {
      log("launch_failed", { endpoint: this.#parts.endpoint.id, what: "ping", error: String(error) });
    }
    const nowMs = Date.now();
    // Meanwhile it may have got another address, which is asked by itself.
    if (upstream !== undefined && !this.#pool.isAt(upstream)) return null;
    this.#pool.probed(id, health, nowMs);
    this.#tick(nowMs);
    this.#follow();
    return health;
  }

  /** Infinity: neither a request nor the worker's machine needs a probe. */
  #probeEveryMs(nowMs: number): ProbeEvery {
    if (this.#isPaused()) return () => Number.POSITIVE_INFINITY;
    const isWaitedFor = this.#line.size > 0;
    const isBusy = nowMs < this.#lastRequestAtMs + LB_PROBE_UNTIL_MS;
    return (health, { id, probedAtMs }) => {
      const { phase, startedAtMs } = this.#parts.machines.get(id) ?? { phase: null, startedAtMs: nowMs };
      if (phase === "creating" || phase === "starting")
        return Math.min(Math.max((probedAtMs - startedAtMs) / 8, LB_PROBE_STARTING_MS), LB_PROBE_WAITED_MS);
      // A machine whose worker has failed is paid, and is ended if the worker does not come back.
      const isSick = phase !== null && (health === "unhealthy" || health === "starting");
      if (isSick || (isWaitedFor && health !== "ready")) return LB_PROBE_WAITED_MS;
      return isBusy ? LB_PROBE_EVERY_MS : Number.POSITIVE_INFINITY;
    };
  }

  /**
   * When a request that is refused now may hope for a slot: the mean duration of the newest × those in line ÷ slots. While a machine
   * starts it is to come again halfway, and waits in line for the rest: a machine that nobody waits for is ended soon after its start.
   */
  #retryAfterSeconds(nowMs: number): number {
    const isPaused = this.#isPaused();
    const slots = isPaused ? 0 : this.#pool.readySlots(nowMs);
    const startMs = isPaused ? LB_WAIT_MAX_MS : this.#parts.machines.startsInMs(this.#parts.kept.timings, nowMs) / 2;
    const waitMs = slots === 0 ? startMs : (this.#meanMs * (this.#line.size + 1)) / slots;
    return Math.max(1, Math.ceil(Math.min(waitMs, LB_WAIT_MAX_MS) / 1_000));
  }

  #isPaused(): boolean {
    return this.#parts.endpoint.settings?.paused ?? true;
  }

  /** The mark goes a while after the last request, so that requests which come one by one do not write a row each. */
  #unmarkAtMs(): number {
    if (this.#pool.outstanding > 0) return Number.POSITIVE_INFINITY;
    return Math.max(this.#emptySinceMs + LB_RENEW_MS, this.recalledAtMs);
  }

  #arm(nowMs: number): void {
    let atMs = Math.min(
      this.#pool.nextGivenUpAtMs(),
      this.#pool.nextProbeAtMs(this.#probeEveryMs(nowMs), nowMs),
      this.#parts.lbMark.isSet ? this.#unmarkAtMs() : Number.POSITIVE_INFINITY,
      this.#line.size > 0 && nowMs < this.recalledAtMs ? this.recalledAtMs : Number.POSITIVE_INFINITY,
    );
    for (const { untilMs } of this.#line.values()) atMs = Math.min(atMs, untilMs);
    if (!Number.isFinite(atMs)) return;
    // A timer that is overdue by the clock is set anew, because the clock itself may have been changed.
    if (atMs >= this.#timerAtMs && nowMs <= this.#timerAtMs) return;
    clearTimeout(this.#timer ?? null);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(() => this.#rang(), Math.max(atMs - nowMs, 0));
  }

  #rang(): void {
    this.#timer = undefined;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    this.#tick(Date.now());
    this.#follow();
  }
}

/** True: the wish may be refused without a free slot, as its worker, or all that it does not avoid, may be gone. */
function isAnsweredWithoutRoom(wish: LbWish): boolean {
  return isBound(wish) || wish.avoidIds.length > 0;
}

/** Is it for one worker alone? */
function isBound({ affinity }: LbWish): boolean {
  return affinity.kind === "strict" || affinity.kind === "resume";
}
