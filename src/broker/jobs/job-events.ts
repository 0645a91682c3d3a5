// Logs the ends of attempts and of jobs as structured events. These carry codes and ids only, because a text that a
// worker reports may contain a tenant's data.
import type { FailureCode } from "../../core/job/failure.ts";
import { showJobId } from "../../core/job/id.ts";
import { isTerminal, type Job } from "../../core/job/job.ts";
import { log } from "../../log.ts";

/** Codes that have an event of their own; the others are `attempt_failed`. */
const EVENTS: Partial<Readonly<Record<FailureCode, string>>> = {
  upstream_paused: "upstream_paused",
  upstream_unhealthy: "upstream_unhealthy",
  worker_lost: "worker_lost",
};
/** Codes of attempts that ended without a failure. */
const WANTED: ReadonlySet<FailureCode> = new Set(["cancelled", "ttl_passed"]);

/** The lines of so long are written together, so that few of the calls that follow are held up. */
const LOG_AFTER_MS = 100;

type Facts = Parameters<typeof log>[1];

export class JobEvents {
  readonly #endpoint: string;
  #unwritten: { readonly event: string; readonly facts: Facts }[] = [];

  constructor(endpoint: string) {
    this.#endpoint = endpoint;
  }

  /** Logs the end of an attempt that failed, and the end of a job. */
  logChange(before: Job, after: Job): void {
    const ended = before.lease !== null && after.lease === null ? after.history.at(-1) : undefined;
    if (ended !== undefined && ended.code !== null && !WANTED.has(ended.code)) {
      const { number, workerId, code } = ended;
      this.#add(EVENTS[code] ?? "attempt_failed", after, { attempt: number, worker: workerId, code });
    }
    if (!isTerminal(after.status) || isTerminal(before.status)) return;
    const { status, failure, attempts, delayMs, executionMs, bill } = after;
    const amountNanodollars = bill?.amountNanodollars ?? 0;
    const code = failure?.code ?? null;
    this.#add("job_finished", after, { status, code, attempts, delayMs, executionMs, amountNanodollars });
  }

  /** Writing a line takes longer than the decision that it is about, and would hold up the answer of that call. */
  #add(event: string, { uuid, mode }: Job, facts: Facts): void {
    if (this.#unwritten.length === 0) setTimeout(() => this.#write(), LOG_AFTER_MS);
    this.#unwritten.push({ event, facts: { endpoint: this.#endpoint, job: showJobId(uuid, mode), ...facts } });
  }

  #write(): void {
    const lines = this.#unwritten;
    this.#unwritten = [];
    for (const { event, facts } of lines) log(event, facts);
  }
}
