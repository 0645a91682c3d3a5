// Seeded defects: each breaks the core, or how the shell keeps leases over its restarts, in one way that a careless change
// could. The oracle must catch every one of them.

import type { JobEvent } from "../../src/core/job/event.ts";
import { failed } from "../../src/core/job/failure.ts";
import { Graces } from "../../src/core/job/graces.ts";
import type { Job } from "../../src/core/job/job.ts";
import { isTerminal, leaseEndMs } from "../../src/core/job/job.ts";
import { type Context, type Effect, type Transition, transition } from "../../src/core/job/transition.ts";
import { LEASE_MS } from "../../src/core/limits.ts";
import { LEASE_KEEPING, type LeaseKeeping, type TransitionFunction } from "./shell.ts";

export interface Defect {
  readonly name: string;
  readonly core: TransitionFunction;
  readonly leaseKeeping?: LeaseKeeping;
}

/** The sound core in a shell that keeps leases in another way. */
function misplaced(name: string, change: Partial<LeaseKeeping>): Defect {
  return { name, core: transition, leaseKeeping: { ...LEASE_KEEPING, ...change } };
}

/** The sound core, with what it made of a job changed afterwards. */
function afterwards(name: string, change: (job: Job, before: Job, event: JobEvent, context: Context) => Job): Defect {
  return {
    name,
    core: (before, event, context) => {
      const result = transition(before, event, context);
      if (result.reply !== "done" || result.job === before) return result;
      return { ...result, job: change(result.job, before, event, context) };
    },
  };
}

/** The sound core, told something else than what happened. */
function misled(name: string, change: (job: Job, event: JobEvent, context: Context) => Partial<Asked>): Defect {
  return {
    name,
    core: (job, event, context) => {
      const asked = { job, event, context, ...change(job, event, context) };
      return transition(asked.job, asked.event, asked.context);
    },
  };
}

interface Asked {
  readonly job: Job;
  readonly event: JobEvent;
  readonly context: Context;
}

/** The sound core, except that some events are answered by hand; undefined leaves them to the core. */
function overruled(name: string, rule: (job: Job, event: JobEvent, context: Context) => Job | undefined): Defect {
  return {
    name,
    core: (job, event, context): Transition => {
      const ruled = rule(job, event, context);
      return ruled === undefined ? transition(job, event, context) : { job: ruled, effects: [], reply: "done" };
    },
  };
}

/** The sound core, whose effects of one kind get lost. */
function silenced(name: string, lost: Effect["kind"], on: (event: JobEvent) => boolean = () => true): Defect {
  return {
    name,
    core: (job, event, context) => {
      const result = transition(job, event, context);
      if (!on(event)) return result;
      return { ...result, effects: result.effects.filter((effect) => effect.kind !== lost) };
    },
  };
}

const requeued = (after: Job, before: Job): boolean => after.status === "IN_QUEUE" && before.lease !== null;

const ended = (after: Job, before: Job): boolean => isTerminal(after.status) && !isTerminal(before.status);

export const DEFECTS: readonly Defect[] = [
  misled("a stale lease is accepted at the finish", (job, event) =>
    event.kind === "finish" && job.lease !== null ? { event: { ...event, token: job.lease.token } } : {},
  ),
  misled("a stale lease is accepted at the renewal", (job, event) =>
    event.kind === "renew" && job.lease !== null ? { event: { ...event, token: job.lease.token } } : {},
  ),
  overruled("a renewal revives a lease that ended", (job, event, context) =>
    event.kind === "renew" && job.lease?.token === event.token
      ? { ...job, lease: { ...job.lease, untilMs: context.nowMs + LEASE_MS } }
      : undefined,
  ),
  overruled("a finish is accepted after a cancel", (job, event, context) =>
    event.kind === "finish" && job.status === "CANCELLED"
      ? { ...job, status: "COMPLETED", finishedAtMs: context.nowMs }
      : undefined,
  ),
  overruled("a cancelled job can start again", (job, event) =>
    event.kind === "time" && job.status === "CANCELLED"
      ? { ...job, status: "IN_QUEUE", finishedAtMs: null }
      : undefined,
  ),
  overruled("a second cancel writes a new end", (job, event, context) =>
    event.kind === "cancel" && job.status === "CANCELLED" ? { ...job, finishedAtMs: context.nowMs } : undefined,
  ),
  overruled("a cancel of a running job is ignored", (job, event) =>
    event.kind === "cancel" && job.status === "IN_PROGRESS" ? job : undefined,
  ),
  overruled("a completed job can be retried", (job, event, context) =>
    event.kind === "retry" && job.status === "COMPLETED"
      ? { ...job, status: "IN_QUEUE", finishedAtMs: null, queuedAtMs: context.nowMs, bill: null, finishSeq: null }
      : undefined,
  ),
  overruled("a finished job may be cancelled", (job, event) =>
    event.kind === "cancel" && job.status === "COMPLETED" ? { ...job, status: "CANCELLED" } : undefined,
  ),
  overruled("the ttl is ignored while a job runs", (job, event, context) =>
    event.kind === "time" && job.status === "IN_PROGRESS" && context.nowMs >= job.ttlAtMs ? job : undefined,
  ),
  misled("a start forgets the ttl", (job, event) =>
    event.kind === "start" ? { job: { ...job, ttlAtMs: Number.MAX_SAFE_INTEGER } } : {},
  ),
  misled("a running job is leased a second time", (job, event) =>
    event.kind === "start" && job.status === "IN_PROGRESS" ? { job: { ...job, status: "IN_QUEUE" } } : {},
  ),
  overruled("a lost lease is never taken back", (job, event, context) =>
    event.kind === "time" && job.lease !== null && context.nowMs > job.lease.untilMs && context.nowMs < job.ttlAtMs
      ? job
      : undefined,
  ),
  misled("a lease is taken back one second early", (job, event) =>
    event.kind === "time" && job.lease !== null
      ? { job: { ...job, lease: { ...job.lease, untilMs: job.lease.untilMs - 1_000 } } }
      : {},
  ),
  afterwards("a lost lease is billed", (job, before, event, context) =>
    event.kind === "time" && job.status === "IN_QUEUE" && before.lease !== null
      ? { ...job, status: "FAILED", finishedAtMs: context.nowMs }
      : job,
  ),
  afterwards("attempts are not counted", (job, before, event) =>
    event.kind === "start" ? { ...job, attempts: before.attempts } : job,
  ),
  afterwards("a retry starts again at attempt one, so that its line has an old key", (job, _before, event) =>
    event.kind === "retry" ? { ...job, attempts: 0 } : job,
  ),
  afterwards("every bill names attempt one", (job) =>
    job.bill === null ? job : { ...job, bill: { ...job.bill, seq: 1 } },
  ),
  misled("failures are never counted", (job, event) =>
    event.kind === "finish" || event.kind === "time" ? { job: { ...job, countedFailures: 0 } } : {},
  ),
  afterwards("a retry keeps the failures of before", (job, before, event) =>
    event.kind === "retry" ? { ...job, countedFailures: before.countedFailures } : job,
  ),
  misled("a paused upstream costs an attempt", (_job, event) =>
    event.kind === "finish" && event.outcome.kind === "upstream_paused"
      ? {
          event: { ...event, outcome: { kind: "attempt_failed", failure: failed("bad_answer", event.outcome.detail) } },
        }
      : {},
  ),
  misled("an unhealthy upstream fails the job", (_job, event) =>
    event.kind === "finish" && event.outcome.kind === "upstream_unhealthy"
      ? { event: { ...event, outcome: { kind: "rejected", failure: failed("bad_answer", event.outcome.detail) } } }
      : {},
  ),
  misled("a handler error is tried again", (_job, event) =>
    event.kind === "finish" && event.outcome.kind === "handler_error"
      ? { event: { ...event, outcome: { kind: "attempt_failed", failure: event.outcome.failure } } }
      : {},
  ),
  misled("a failed start is an error of the handler", (_job, event) =>
    event.kind === "finish" && event.outcome.kind === "start_failed"
      ? { event: { ...event, outcome: { kind: "handler_error", failure: failed("handler_error", ""), output: null } } }
      : {},
  ),
  misled("a failed start costs an attempt", (_job, event) =>
    event.kind === "finish" && event.outcome.kind === "start_failed"
      ? { event: { ...event, outcome: { kind: "attempt_failed", failure: failed("bad_answer", "") } } }
      : {},
  ),
  misled("failed starts are never counted", (job) => ({ job: { ...job, startFailures: 0 } })),
  misled("a job that was perhaps not read counts as a failure", (_job, event) =>
    event.kind === "lost" && event.delivered === "perhaps" ? { event: { ...event, delivered: true } } : {},
  ),
  misled("a rejected request is billed", (_job, event) =>
    event.kind === "finish" && event.outcome.kind === "rejected"
      ? { event: { ...event, outcome: { kind: "handler_error", failure: event.outcome.failure, output: null } } }
      : {},
  ),
  misled("a lease lost by a restart counts as a failed attempt", (job, event, context) =>
    event.kind === "time" && job.lease !== null
      ? { job: { ...job, lease: { ...job.lease, incarnation: context.incarnation } } }
      : {},
  ),
  misled("a lost worker counts as a restart", (job, event) =>
    event.kind === "time" && job.lease !== null
      ? { job: { ...job, lease: { ...job.lease, incarnation: "none" } } }
      : {},
  ),
  misled("a lease lost with its client counts as a failed attempt", (job, event) =>
    event.kind === "time" && job.lease !== null ? { job: { ...job, lease: { ...job.lease, byClient: false } } } : {},
  ),
  misled("an answer that broke off is tried again", (_job, event) =>
    event.kind === "finish" && event.outcome.kind === "cut_short"
      ? { event: { ...event, outcome: { kind: "attempt_failed", failure: event.outcome.failure } } }
      : {},
  ),
  misled("an answer that broke off is billed", (_job, event) =>
    event.kind === "finish" && event.outcome.kind === "cut_short"
      ? { event: { ...event, outcome: { kind: "handler_error", failure: event.outcome.failure, output: null } } }
      : {},
  ),
  misled("an abandoned job fails", (_job, event) =>
    event.kind === "finish" && event.outcome.kind === "abandoned"
      ? { event: { ...event, outcome: { kind: "handler_error", failure: failed("handler_error", ""), output: null } } }
      : {},
  ),
  afterwards("an abandoned attempt is not billed", (job, _before, event) =>
    event.kind === "finish" && event.outcome.kind === "abandoned" ? { ...job, bill: null, finishSeq: null } : job,
  ),
  misled("the time of an attempt is not clamped to its timeout", (job) => ({
    job: { ...job, executionTimeoutMs: job.executionTimeoutMs * 10 },
  })),
  afterwards("a finish number is used twice", (job, before, _event, context) =>
    ended(job, before) && job.finishSeq !== null && context.nextFinishSeq > 1
      ? { ...job, finishSeq: context.nextFinishSeq - 1 }
      : job,
  ),
  afterwards("a cancelled attempt is not billed", (job, _before, event) =>
    event.kind === "cancel" ? { ...job, bill: null, finishSeq: null } : job,
  ),
  misled("a job that its upstream never said to run is billed when it is cancelled", (job, event) =>
    event.kind === "cancel" && job.lease?.ranFromMs === null
      ? { job: { ...job, lease: { ...job.lease, ranFromMs: job.lease.startedAtMs } } }
      : {},
  ),
  misled("a job that waited at its upstream is billed for that, too, when it ends", (job, event) =>
    event.kind === "finish" && typeof job.lease?.ranFromMs === "number"
      ? { job: { ...job, lease: { ...job.lease, ranFromMs: job.lease.startedAtMs } } }
      : {},
  ),
  afterwards("a bill is off by one nano-dollar", (job) =>
    job.bill === null ? job : { ...job, bill: { ...job.bill, amountNanodollars: job.bill.amountNanodollars + 1 } },
  ),
  afterwards("a requeued job keeps its old place, so that an old purge takes it", (job, before) =>
    job.status === "IN_QUEUE" ? { ...job, queueSeq: before.queueSeq } : job,
  ),
  afterwards("a finished job keeps its lease", (job, before) =>
    ended(job, before) ? { ...job, lease: before.lease } : job,
  ),
  afterwards("a finished job is due at once and forgotten early", (job, before) =>
    ended(job, before) ? { ...job, retentionMs: 0 } : job,
  ),
  afterwards("a new ttl is ignored", (job, before, event) =>
    event.kind === "set_ttl" ? { ...job, ttlAtMs: before.ttlAtMs } : job,
  ),
  silenced("a result is dropped", "keep_output", (event) => event.kind === "finish"),
  silenced("a retry keeps the old result", "keep_output", (event) => event.kind === "retry"),
  silenced("a cancel leaves the upstream running", "stop_upstream", (event) => event.kind === "cancel"),
  silenced("a timeout leaves the upstream running", "stop_upstream", (event) => event.kind === "time"),
  silenced("a refusal pauses nothing", "pause_upstream"),
  silenced("a wrong key is no reason to stop asking", "upstream_unhealthy"),
  afterwards("a new attempt takes up the run that failed", (after, before) =>
    requeued(after, before) ? { ...after, upstreamJob: before.upstreamJob } : after,
  ),
  afterwards("a restart forgets the upstream's run", (after, before) =>
    requeued(after, before) ? { ...after, upstreamJob: null } : after,
  ),
  afterwards("a failure is tried again at once", (after) => ({ ...after, notBeforeMs: 0 })),
  misled("a retry time is no reason to wait", (job, event) =>
    event.kind === "start" ? { job: { ...job, notBeforeMs: 0 } } : {},
  ),
  overruled("a renewal renews nothing", (job, event, context) =>
    event.kind === "renew" && job.lease?.token === event.token && context.nowMs <= job.lease.untilMs
      ? { ...job }
      : undefined,
  ),
  afterwards("the execution time is another one", (after) =>
    after.executionMs === null ? after : { ...after, executionMs: after.executionMs + 12_345 },
  ),
  afterwards("a failure says nothing", (after) => ({ ...after, failure: null })),
  afterwards("the bill names another tier", (after) =>
    after.bill === null ? after : { ...after, bill: { ...after.bill, tier: "b200" } },
  ),
  afterwards("a worker that had the job is forgotten", (after) => ({ ...after, formerWorkers: [] })),
  afterwards("a worker that never had the job is remembered for it", (after, before, event, context) =>
    event.kind === "lost" && event.delivered === false && before.lease !== null
      ? { ...after, formerWorkers: [{ holderId: before.lease.holderId, untilMs: context.nowMs }] }
      : after,
  ),
  silenced("a cancel leaves the worker running", "stop_worker", (event) => event.kind === "cancel"),
  silenced("a timeout leaves the worker running", "stop_worker", (event) => event.kind === "time"),
  misled("a job that never arrived counts as a failure", (_job, event) =>
    event.kind === "lost" ? { event: { ...event, delivered: true } } : {},
  ),
  misled("a worker that begins anew costs no attempt", (_job, event) =>
    event.kind === "lost" ? { event: { ...event, delivered: false } } : {},
  ),
  misled("silence always counts", (_job, event, context) =>
    event.kind === "time" ? { context: { ...context, workerSeenAtMs: context.nowMs } } : {},
  ),
  afterwards("silence never counts", (after, _before, event) =>
    event.kind === "time" ? { ...after, undelivered: 0 } : after,
  ),
  afterwards("a pulled lease holds as long as a pushed one", (after, _before, event, context) =>
    event.kind === "renew" && after.lease !== null
      ? { ...after, lease: { ...after.lease, untilMs: context.nowMs + LEASE_MS } }
      : after,
  ),
  misplaced("each start gives every lease another grace", { graces: () => new Graces([]) }),
  misplaced("a start gives no grace", {
    graces: () => ({ resume: (lease) => lease, toStore: () => null }),
  }),
  misplaced("no renewal is written, so that the second start ends a living lease", {
    staysInMemory: (event) => event.kind === "renew",
  }),
  misled("a grace without a word is billed", (job, event) =>
    event.kind !== "renew" && job.lease !== null
      ? { job: { ...job, lease: { ...job.lease, untilMs: leaseEndMs(job.lease) } } }
      : {},
  ),
  afterwards("the bill says other seconds", (after) =>
    after.bill === null ? after : { ...after, bill: { ...after.bill, seconds: after.bill.seconds + 9 } },
  ),
];
