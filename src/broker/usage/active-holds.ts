// Meters active upstreams and workers: keeps what is held, and since when, and owes the endpoint's owner the lines of it. An
// upstream is held while the settings have it; a worker that pulls, from its first call for a job until it is lost; a machine of a
// load-balanced endpoint, from its readiness until its record ends it. How far a hold is metered stands in its row, which is written together with the lines: a restart at any point bills nothing twice or not at all.
import { v7 as uuidv7 } from "uuid";
import type { EndpointSettings, WorkerKey } from "../../contract/settings.ts";
import type { UsageBatch, UsageLine } from "../../contract/usage.ts";
import { findRate } from "../../core/job/pricing.ts";
import { TURN_ROWS_MAX } from "../../core/limits.ts";
import { type ActiveHold, closeHold, cutSlices, type Slice, skipUnpriced, sliceEndMs } from "../../core/meter/hold.ts";
import { METER_RETRY_MS, SEEN_KEPT_EVERY_MS } from "../../core/meter/limits.ts";
import { billedHoldId } from "../../core/meter/line-id.ts";
import { heldUntilMs, lostAtMs, type Presence } from "../../core/meter/presence.ts";
import type { RosterWorker } from "../../core/scheduling/worker-roster.ts";
import type { Timed } from "../alarm.ts";
import type { Endpoint } from "../endpoint.ts";
import type { HoldRow, HoldRows } from "../store/hold-rows.ts";
import type { BrokerStore } from "../store/jobs.ts";
import type { KeptRows } from "../store/kept-rows.ts";
import type { UsageOutbox } from "./outbox.ts";

/** The key of a worker in these settings, or that of a machine of the fleet; null: there is none, or not any more. */
type KeyOf = (keyId: string, settings: EndpointSettings) => WorkerKey | null;

interface Parts {
  readonly keyOf: KeyOf;
  readonly endpoint: Endpoint;
  readonly store: BrokerStore;
  readonly kept: KeptRows;
  readonly holdRows: HoldRows;
  readonly usageOutbox: UsageOutbox;
}

/** A hold as its row has it, and what memory has of its worker; null: an upstream or a load-balanced machine, which makes no calls. */
interface Held extends HoldRow {
  presence: Presence | null;
}

/** What is written at once: rows that go, then rows that are new or changed, and the lines of both. */
interface Step {
  readonly ended: readonly ActiveHold[];
  readonly kept: readonly Held[];
  readonly lines: readonly UsageLine[];
}

export class ActiveHolds implements Timed {
  readonly #parts: Parts;
  /** By the id of the holder. */
  readonly #held = new Map<string, Held>();
  /** Nothing is due before this, epoch ms. Calls of workers put off what is due, and this follows once it has come. */
  #nextAtMs = Number.POSITIVE_INFINITY;

  /** An active upstream that has no row is held from now on: an earlier release has put it into the settings. */
  constructor(parts: Parts, nowMs: number) {
    this.#parts = parts;
    for (const row of parts.holdRows.all()) {
      const presence = row.seenAtMs === null ? null : { lastSeenAtMs: row.seenAtMs, isHeard: false };
      this.#held.set(row.hold.holderId, { ...row, presence });
    }
    const { settings } = parts.endpoint;
    const kept = settings === null ? [] : this.#newUpstreams(settings, [], nowMs);
    if (settings !== null && kept.length > 0) this.#commit({ ...NOTHING, kept }, settings, nowMs);
    this.#lookAhead(nowMs);
  }

  /** Takes new settings of the endpoint. What they end is billed, by the prices of before, in the transaction that writes them. */
  configure(settings: EndpointSettings, nowMs: number): void {
    const { endpoint } = this.#parts;
    const step = this.#stepTo(endpoint.afterwards(settings), nowMs);
    this.#commit(step, settings, nowMs, (write) => endpoint.configure(settings, nowMs, write));
    this.#lookAhead(nowMs);
  }

  /** A worker asks for a job, by a key that is in force: if that is active, the worker is held from now on. */
  ready({ keyId, holderId }: RosterWorker, nowMs: number): void {
    const { settings } = this.#parts.endpoint;
    const key = settings === null ? null : this.#parts.keyOf(keyId, settings);
    if (settings === null || key?.rateKind !== "active" || this.#held.has(holderId)) return;
    this.#commit({ ...NOTHING, kept: [newHeld({ holderId, keyId, tier: key.tier }, nowMs)] }, settings, nowMs);
  }

  /**
   * An active machine that is called, and calls nobody, is ready: it is held from now on, like an upstream, if it is not held already.
   * Nothing begins that would end at once: each hold is billed for a second at least.
   */
  machineReady(machineId: string, tier: string, nowMs: number): void {
    const { endpoint, keyOf } = this.#parts;
    const { settings } = endpoint;
    if (settings === null || this.#held.has(machineId)) return;
    const held = newHeld({ holderId: machineId, keyId: null, tier }, nowMs);
    if (disabledAtMs(held.hold, settings, nowMs, keyOf) <= nowMs) return;
    this.#commit({ ...NOTHING, kept: [held] }, settings, nowMs);
  }

  /**
   * An active machine is gone by its provider's word. It was held until its worker's last call; one that is called, and calls nobody, until
   * `seenAtMs`, at which it was there for the last time.
   */
  machineLost(machineId: string, seenAtMs: number, nowMs: number): void {
    const { settings } = this.#parts.endpoint;
    if (settings === null) return;
    for (const { hold, presence } of [...this.#held.values()]) {
      // The id of a machine is that of its worker's key.
      if ((hold.keyId ?? hold.holderId) !== machineId) continue;
      const endMs = Math.min(presence?.lastSeenAtMs ?? seenAtMs, nowMs);
      this.#commit(endingOf(hold, settings, endMs), settings, nowMs);
    }
  }

  /**
   * A worker calls. One that was lost before is held again when it asks for a job. What this owes is posted by the alarm that is set
   * for its hold, or sooner.
   */
  seen(holderId: string, nowMs: number): void {
    const held = this.#held.get(holderId);
    const { settings } = this.#parts.endpoint;
    if (held === undefined || held.seenAtMs === null || settings === null) return;
    if (this.#end(held, settings, nowMs)) return;
    held.presence = { lastSeenAtMs: nowMs, isHeard: true };
    if (Math.abs(nowMs - held.seenAtMs) >= SEEN_KEPT_EVERY_MS) this.#meter(held, settings, nowMs);
  }

  /** Machines of the fleet have changed: what they, or their workers' keys, held ends with them. */
  keysChanged(nowMs: number): void {
    const { settings } = this.#parts.endpoint;
    if (settings === null || this.#held.size === 0) return;
    for (const held of [...this.#held.values()]) this.#end(held, settings, nowMs);
    this.#lookAhead(nowMs);
  }

  nextAtMs(): number {
    return this.#nextAtMs;
  }

  /** Bills the slices of upstreams that are over, and ends the holds of workers that are lost. */
  run(nowMs: number): boolean {
    const { settings } = this.#parts.endpoint;
    if (this.#nextAtMs > nowMs || settings === null) return false;
    const due = [...this.#held.values()].filter((held) => this.#dueAtMs(held, settings, nowMs) <= nowMs);
    for (const held of due.slice(0, TURN_ROWS_MAX)) {
      if (!this.#end(held, settings, nowMs)) this.#meter(held, settings, nowMs);
    }
    this.#lookAhead(nowMs);
    return due.length > TURN_ROWS_MAX;
  }

  #lookAhead(nowMs: number): void {
    const { settings } = this.#parts.endpoint;
    this.#nextAtMs = Number.POSITIVE_INFINITY;
    if (settings !== null) for (const held of this.#held.values()) this.#expect(held, settings, nowMs);
  }

  #expect(held: Held, settings: EndpointSettings, nowMs: number): void {
    this.#nextAtMs = Math.min(this.#nextAtMs, this.#dueAtMs(held, settings, nowMs));
  }

  /** A worker's slices are cut when it calls, so that time alone can only end its hold. */
  #dueAtMs({ hold, presence }: Held, settings: EndpointSettings, nowMs: number): number {
    const disabledMs = disabledAtMs(hold, settings, nowMs, this.#parts.keyOf);
    if (presence !== null) return Math.min(lostAtMs(presence), disabledMs);
    const { rates } = settings;
    const sliceMs = sliceEndMs(skipUnpriced(hold, rates, Number.POSITIVE_INFINITY), rates);
    const isPutOff = sliceMs <= nowMs && this.#parts.usageOutbox.isFull;
    return Math.min(isPutOff ? nowMs + METER_RETRY_MS : sliceMs, disabledMs);
  }

  /** Bills the slices of a hold that goes on. While no more lines may be owed they wait; a worker's last call is written all the same. */
  #meter({ hold, presence }: Held, settings: EndpointSettings, nowMs: number): void {
    const seenAtMs = presence?.lastSeenAtMs ?? null;
    const waits = { hold, slices: [] };
    const metered = this.#parts.usageOutbox.isFull ? waits : cutSlices(hold, settings.rates, seenAtMs ?? nowMs);
    const kept = [{ hold: metered.hold, seenAtMs, presence }];
    this.#commit({ ...NOTHING, kept, lines: linesOf(hold, metered.slices, settings) }, settings, nowMs);
  }

  /** Bills what is left of a hold that has ended. False: it goes on. */
  #end(held: Held, settings: EndpointSettings, nowMs: number): boolean {
    const endMs = endOf(held, disabledAtMs(held.hold, settings, nowMs, this.#parts.keyOf), nowMs);
    if (endMs !== null) this.#commit(endingOf(held.hold, settings, endMs), settings, nowMs);
    return endMs !== null;
  }

  /** What ends, begins and goes on when the settings become `after`. */
  #stepTo(after: EndpointSettings, nowMs: number): Step {
    const before = this.#parts.endpoint.settings;
    const steps =
      before === null
        ? []
        : [...this.#held.values()].map((held) => stepOf(held, before, after, nowMs, this.#parts.keyOf));
    const ended = steps.flatMap((step) => step.ended);
    const kept = [...steps.flatMap((step) => step.kept), ...this.#newUpstreams(after, ended, nowMs)];
    return { ended, kept, lines: steps.flatMap(({ lines }) => lines) };
  }

  /** The holds of the active upstreams of these settings that are not held, or not any more. */
  #newUpstreams(settings: EndpointSettings, ended: readonly ActiveHold[], nowMs: number): Held[] {
    if (settings.deletedAtMs !== null) return [];
    const isHeld = (id: string) => this.#held.has(id) && !ended.some(({ holderId }) => holderId === id);
    return settings.upstreams
      .filter(({ id, rateKind }) => rateKind === "active" && !isHeld(id))
      .map(({ id, tier }) => newHeld({ holderId: id, keyId: null, tier }, nowMs));
  }

  /** Writes a step, and then changes memory. `within` runs the writing in a transaction. */
  #commit(
    { ended, kept, lines }: Step,
    { tenantId }: EndpointSettings,
    nowMs: number,
    within = (write: () => void): void => this.#parts.store.transaction(write),
  ): void {
    const { endpoint, holdRows, usageOutbox } = this.#parts;
    const owed = this.#number(lines, nowMs);
    within(() => {
      for (const { holderId } of ended) holdRows.delete(holderId);
      for (const row of kept) holdRows.put(row);
      usageOutbox.keep(tenantId, owed);
    });
    for (const { holderId } of ended) this.#held.delete(holderId);
    for (const held of kept) {
      this.#held.set(held.hold.holderId, held);
      if (endpoint.settings !== null) this.#expect(held, endpoint.settings, nowMs);
    }
    usageOutbox.kept(tenantId, owed, nowMs);
  }

  /** Comes before the transaction of the lines: numbers that one reserves which is rolled back would be given twice. */
  #number(lines: readonly UsageLine[], nowMs: number): UsageBatch["lines"] {
    const { store, kept } = this.#parts;
    const reserve = (): void => store.transaction(() => kept.write(nowMs));
    return lines.map((line) => ({ finishSeq: kept.numbers.takeFinishSeq(reserve), line }));
  }
}

const NOTHING: Step = { ended: [], kept: [], lines: [] };

/** `fromMs`: a hold that follows another one begins where that one is billed to, which may be up to a second ahead. */
function newHeld(holder: Pick<ActiveHold, "holderId" | "keyId" | "tier">, nowMs: number, fromMs = nowMs): Held {
  const hold = { ...holder, id: uuidv7(), fromMs, meteredUntilMs: fromMs, slices: 0 };
  const presence = holder.keyId === null ? null : { lastSeenAtMs: nowMs, isHeard: true };
  return { hold, seenAtMs: presence?.lastSeenAtMs ?? null, presence };
}

/** When the settings end a hold, epoch ms: now, or when the worker's key expires; Infinity: never. */
function disabledAtMs(
  { holderId, keyId, tier }: ActiveHold,
  settings: EndpointSettings,
  nowMs: number,
  keyOf: KeyOf,
): number {
  const { upstreams, deletedAtMs } = settings;
  const isSame = (given: { readonly tier: string; readonly rateKind: string }) =>
    given.tier === tier && given.rateKind === "active";
  // The id of a machine is that of its worker's key.
  const key = keyOf(keyId ?? holderId, settings);
  const isThere = key === null ? upstreams.some((one) => one.id === holderId && isSame(one)) : isSame(key);
  if (!isThere || deletedAtMs !== null) return nowMs;
  return key?.expiresAtMs ?? Number.POSITIVE_INFINITY;
}

/** When a hold has ended, epoch ms; null: it goes on. */
function endOf({ presence }: Held, disabledMs: number, nowMs: number): number | null {
  if (presence !== null) return heldUntilMs(presence, disabledMs, nowMs);
  return disabledMs <= nowMs ? disabledMs : null;
}

function endingOf(hold: ActiveHold, settings: EndpointSettings, endMs: number): Step {
  const { slices } = closeHold(hold, settings.rates, endMs);
  return { ended: [hold], kept: [], lines: linesOf(hold, slices, settings) };
}

/** What becomes of one hold when the settings change. */
function stepOf(held: Held, before: EndpointSettings, after: EndpointSettings, nowMs: number, keyOf: KeyOf): Step {
  const { holderId, keyId, tier } = held.hold;
  const isPriced = ({ rates }: EndpointSettings) => findRate(rates, tier, "active", nowMs) !== undefined;
  const losesPrice = isPriced(before) && !isPriced(after);
  // A key that has expired may be missing in these settings, and nobody has noticed its end yet.
  const disabledMs = Math.min(...[before, after].map((settings) => disabledAtMs(held.hold, settings, nowMs, keyOf)));
  const endMs = endOf(held, losesPrice ? Math.min(disabledMs, nowMs) : disabledMs, nowMs);
  if (endMs === null) {
    // A price that comes with these settings counts from now on, also if it has begun earlier.
    const hold = skipUnpriced(held.hold, before.rates, nowMs);
    return hold === held.hold ? NOTHING : { ...NOTHING, kept: [{ ...held, hold }] };
  }
  const { hold, slices } = closeHold(held.hold, before.rates, endMs);
  const ending = { ended: [held.hold], kept: [], lines: linesOf(held.hold, slices, before) };
  // What is held of upstreams follows from the settings alone (newUpstreams).
  if (keyId === null && before.upstreams.some(({ id }) => id === holderId)) return ending;
  const key = after.deletedAtMs === null ? keyOf(keyId ?? holderId, after) : null;
  // The worker or machine is there, and its tier has no price any more, which may return, or its key is of another tier from now on.
  if (key?.rateKind !== "active" || endMs !== nowMs) return ending;
  const fromMs = Math.max(nowMs, hold.meteredUntilMs);
  return { ...ending, kept: [newHeld({ holderId, keyId, tier: key.tier }, nowMs, fromMs)] };
}

function linesOf(
  { id, holderId, tier }: ActiveHold,
  slices: readonly Slice[],
  { endpointId }: EndpointSettings,
): UsageLine[] {
  return slices.map((slice) => ({
    source: id,
    endpointId,
    jobId: billedHoldId(holderId),
    tier,
    rateKind: "active",
    slots: 1,
    ...slice,
    billedMs: slice.seconds * 1_000,
    tokens: null,
  }));
}
