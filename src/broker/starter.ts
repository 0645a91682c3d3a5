// Starts waiting jobs: leases them while slots are free and hands each to a carrier that nobody here waits for.
import type { Assignment } from "../contract/dispatch.ts";
import type { EndpointSettings } from "../contract/settings.ts";
import { HOLD_BACK_MS, PARKED_MAX_MS, START_JOBS_MAX } from "../core/limits.ts";
import type { JobBook } from "./job-book.ts";
import { leaseFor, toAssignment } from "./leasing.ts";
import type { LiveIndex } from "./live-index.ts";
import type { BrokerStore, StoredJob } from "./store.ts";

interface Parts {
  readonly endpointId: string;
  readonly store: BrokerStore;
  readonly index: LiveIndex;
  readonly book: JobBook;
  readonly carry: (assignment: Assignment) => void;
}

export class Starter {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Leases what fits now and starts the carriers. Returns how many. */
  startReady(nowMs: number): number {
    const { book, index } = this.#parts;
    const { settings } = book;
    if (settings === null || settings.paused) return 0;
    let started = 0;
    while (started < START_JOBS_MAX && book.pool.freeSlots(nowMs) > 0) {
      const uuid = index.next(nowMs);
      const stored = uuid === undefined ? null : book.load(uuid);
      if (stored === null) break;
      const assignment = this.#lease(stored, settings, nowMs);
      if (assignment === null) continue;
      started += 1;
      this.#parts.carry(assignment);
    }
    return started;
  }

  /** Starts another carrier for a lease that is held. False: its upstream is not there any more. */
  carryOn(stored: StoredJob | null, nowMs: number): boolean {
    if (stored === null) return false;
    const { job } = stored;
    const { lease } = job;
    const upstream = this.#parts.book.settings?.upstreams.find(({ id }) => id === lease?.upstreamId);
    if (lease === null || upstream === undefined) return false;
    const input = this.#parts.store.readPayload(job.uuid, "input", stored.inputPlace);
    const { endpointId } = this.#parts;
    this.#parts.carry(toAssignment({ endpointId, stored, job, lease, upstream, input, resumed: true, nowMs }));
    return true;
  }

  /** Null: the job was put aside, because it cannot start at this moment. */
  #lease(stored: StoredJob, settings: EndpointSettings, nowMs: number): Assignment | null {
    const { book, index } = this.#parts;
    const { uuid, upstreamJob } = stored.job;
    // The upstream that may still run this job: another one would run it a second time.
    const resumedOn = upstreamJob !== null && book.pool.knows(upstreamJob.upstreamId) ? upstreamJob.upstreamId : null;
    if (resumedOn !== null && !book.pool.hasRoomOn(resumedOn, nowMs)) {
      index.holdBack(uuid, nowMs + HOLD_BACK_MS);
      return null;
    }
    const chosen = resumedOn ?? book.pool.choose(nowMs, stored.job.failedOn);
    if (chosen === null) {
      // Room is only where the job has failed already, while a sound upstream is busy.
      index.park(uuid, nowMs + PARKED_MAX_MS);
      return null;
    }
    const upstream = settings.upstreams.find((candidate) => candidate.id === chosen);
    if (upstream === undefined) throw new Error("the pool chose an upstream that the settings lack");
    const lease = leaseFor(upstream, settings, nowMs, crypto.randomUUID(), book.incarnation);
    if (lease === null) throw new Error("the pool chose an upstream without a rate");
    const moved = book.apply(stored, { kind: "start", lease }, nowMs);
    if (moved.reply !== "done") {
      index.holdBack(uuid, nowMs + HOLD_BACK_MS);
      return null;
    }
    const input = this.#parts.store.readPayload(uuid, "input", stored.inputPlace);
    const { endpointId } = this.#parts;
    return toAssignment({
      endpointId,
      stored,
      job: moved.job,
      lease,
      upstream,
      input,
      resumed: resumedOn !== null,
      nowMs,
    });
  }
}
