// Closes a deleted endpoint: ends its jobs a portion a turn, waits until every usage line and webhook is delivered, then deletes
// its objects in R2, notes that in D1 and erases the object. The core decides what is next; the only thing stored for it is the
// time of the deletion, in the settings.
import { type ClosingStep, type EmptyingProgress, nextClosingStep } from "../core/endpoint/closing.ts";
import { EMPTYING_PAGES_MAX, EMPTYING_RETRY_MS } from "../core/endpoint/limits.ts";
import { TURN_ROWS_MAX } from "../core/limits.ts";
import { log } from "../log.ts";
import type { Timed } from "./alarm.ts";
import type { OverJobs } from "./jobs/jobs.ts";
import type { WorkerExits } from "./workers/exits.ts";

interface Parts extends OverJobs {
  readonly exits: WorkerExits;
}

export class Closing implements Timed {
  readonly #parts: Parts;
  /** Jobs of the present walk that are still to be cancelled. */
  #left: Iterator<string>;
  #progress: EmptyingProgress = "begun";
  #isEmptying = false;
  /** When an emptying may begin next, epoch ms. It is set before one begins, so that an alarm outlives a lost one. */
  #emptyNotBeforeMs = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#left = parts.index.unendedJobs();
  }

  /** The settings that were just taken delete the endpoint. */
  begin(nowMs: number): void {
    const { endpoint, roster, exits } = this.#parts;
    log("endpoint_closing", { endpoint: endpoint.id });
    // This comes before the cancels: jobs that no worker has received are not billed.
    for (const worker of roster.all()) exits.turnAway(worker, nowMs);
    if (this.#next(nowMs).kind === "cancel") this.#cancelSome(nowMs);
  }

  nextAtMs(nowMs: number): number {
    if (this.#parts.endpoint.deletion === null) return Number.POSITIVE_INFINITY;
    const step = this.#next(nowMs);
    if (step.kind === "wait") return step.untilMs;
    return isEmptyingStep(step) ? Math.max(nowMs, this.#emptyNotBeforeMs) : nowMs;
  }

  run(nowMs: number): boolean | Promise<void> {
    const step = this.#next(nowMs);
    if (step.kind === "wait") return false;
    if (step.kind === "cancel") this.#cancelSome(nowMs);
    else if (step.kind === "forget_upstreams") this.#parts.endpoint.forgetUpstreams(nowMs);
    else return nowMs >= this.#emptyNotBeforeMs && this.#empty(nowMs);
    return true;
  }

  #next(nowMs: number): ClosingStep {
    const { endpoint, index, lbMark, machines } = this.#parts;
    const { settings } = endpoint;
    const facts = {
      deletedAtMs: settings?.deletedAtMs ?? null,
      unended: index.unended,
      holdsUpstreams: (settings?.upstreams.length ?? 0) > 0,
      mayRunRequests: lbMark.isSet,
      // Jobs that a purge has cancelled owe nothing, although their entries go only in later turns.
      // A machine that is not surely gone must be ended by its record.
      owed: index.live + index.unposted.size + index.webhooks.size + machines.size,
      progress: this.#progress,
    };
    return nextClosingStep(facts, nowMs);
  }

  /** As a client's cancel: a running job is billed until now, its worker is told, and its webhook goes out. */
  #cancelSome(nowMs: number): void {
    const { jobs, index } = this.#parts;
    for (let handled = 0; handled < TURN_ROWS_MAX; handled += 1) {
      const next = this.#left.next();
      if (next.done === true) {
        this.#left = index.unendedJobs();
        return;
      }
      const stored = jobs.load(next.value);
      if (stored === null) index.forget(next.value);
      else jobs.apply(stored, { kind: "cancel" }, nowMs);
    }
  }

  /** Never rejects. What has failed is tried again by a later alarm. */
  async #empty(nowMs: number): Promise<void> {
    this.#emptyNotBeforeMs = nowMs + EMPTYING_RETRY_MS;
    if (this.#isEmptying) return;
    this.#isEmptying = true;
    // Objects may have come since an earlier emptying has failed.
    this.#progress = "begun";
    try {
      await this.#emptySome();
      this.#emptyNotBeforeMs = 0;
    } catch (error) {
      log("emptying_failed", { endpoint: this.#parts.endpoint.id, error: String(error) });
    } finally {
      this.#isEmptying = false;
    }
  }

  /** Each step is decided anew: meanwhile a late report may have brought something that is owed. */
  async #emptySome(): Promise<void> {
    const { platform } = this.#parts;
    for (let pages = 0; pages < EMPTYING_PAGES_MAX; pages += 1) {
      const step = this.#next(Date.now());
      if (!isEmptyingStep(step)) return;
      if (step.kind === "drop_objects") {
        if (!(await platform.dropObjects())) this.#progress = "objects_gone";
      } else if (step.kind === "note") {
        await platform.noteEmptied(Date.now());
        this.#progress = "noted";
      } else return platform.erase();
    }
  }
}

function isEmptyingStep({ kind }: ClosingStep): boolean {
  return kind === "drop_objects" || kind === "note" || kind === "erase";
}
