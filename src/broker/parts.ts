// Makes the parts of a broker that decide and answer. Each is given the state and parts made before it, never a later
// one: what follows a commit, the jobs, what time makes work for, what ends a call, and what answers calls.
import { AlarmClock, type Timed } from "./alarm.ts";
import { Closing } from "./closing.ts";
import { Fleet } from "./fleet/fleet.ts";
import { AfterCommit } from "./jobs/after-commit.ts";
import { ClientCalls } from "./jobs/client-calls.ts";
import { Deadlines } from "./jobs/deadlines.ts";
import { DispatchWake } from "./jobs/dispatch-wake.ts";
import { Dispatcher } from "./jobs/dispatcher.ts";
import { JobChanges } from "./jobs/job-changes.ts";
import { JobList } from "./jobs/job-list.ts";
import { JobSearch } from "./jobs/job-search.ts";
import { Jobs } from "./jobs/jobs.ts";
import { Leases } from "./jobs/leases.ts";
import { Portions } from "./jobs/portions.ts";
import { PriceClock } from "./jobs/price-clock.ts";
import { PurgeTrail } from "./jobs/purge-trail.ts";
import { rebuildMemory } from "./jobs/rebuild.ts";
import { Retention } from "./jobs/retention.ts";
import { ShownJobs } from "./jobs/shown-jobs.ts";
import { Streams } from "./jobs/streams.ts";
import { Submissions } from "./jobs/submissions.ts";
import { LbSlots } from "./lb/slots.ts";
import type { Meter } from "./meter.ts";
import type { Platform } from "./platform.ts";
import { type BrokerState, makeState } from "./state.ts";
import { Wake } from "./wake.ts";
import { WebhookOutbox } from "./webhooks/outbox.ts";
import { WebhookSenders } from "./webhooks/senders.ts";
import { WorkerExits } from "./workers/exits.ts";
import { WorkerList } from "./workers/list.ts";
import { PullWorkers } from "./workers/pull-workers.ts";
import { WorkerReports } from "./workers/reports.ts";

export type BrokerParts = ReturnType<typeof makeParts>;

/** Makes the parts, and fills their memory from what earlier starts of the object have left. */
export function makeParts(platform: Platform, meter: Meter, nowMs: number) {
  const state = makeState(platform, meter, nowMs);
  const jobs = { ...state, ...makeJobs(state, nowMs) };
  const timed = { ...jobs, ...makeTimed(jobs, nowMs) };
  return { ...timed, ...makeCalls(timed) };
}

function makeJobs(state: BrokerState, nowMs: number) {
  const afterCommit = new AfterCommit(state);
  const jobs = new Jobs({ ...state, afterCommit });
  rebuildMemory({ ...state, afterCommit, jobs }, nowMs);
  // This comes once the running jobs have taken their slots.
  state.troubles.restore(state.endpoint.pool, nowMs);
  return { afterCommit, jobs, dispatcher: new Dispatcher({ ...state, jobs }) };
}

type WithJobs = BrokerState & ReturnType<typeof makeJobs>;

function makeTimed(parts: WithJobs, nowMs: number) {
  const lb = new LbSlots(parts, nowMs);
  const dispatchWake = new DispatchWake(parts);
  const webhooks = new WebhookOutbox(parts);
  const exits = new WorkerExits(parts);
  const closing = new Closing({ ...parts, exits });
  const fleet = new Fleet({ ...parts, lb }, nowMs);
  // An alarm runs these in this order: parts that make jobs ready come before parts that start them.
  const timed: Timed[] = [
    new PriceClock({ ...parts, lb }),
    new Deadlines(parts),
    new Retention(parts),
    parts.keys,
    parts.tokenCalls,
    parts.activeHolds,
    parts.usageOutbox,
    dispatchWake,
    webhooks,
    fleet,
    closing,
  ];
  const alarmClock = new AlarmClock({ ...parts, timed });
  const wake = new Wake({ ...parts, alarmClock, dispatchWake, webhooks, fleet, lb });
  return { lb, dispatchWake, webhooks, exits, closing, fleet, timed, alarmClock, wake };
}

function makeCalls(parts: WithJobs & ReturnType<typeof makeTimed>) {
  const shown = new ShownJobs(parts);
  const portions = new Portions(parts.egress);
  const jobSearch = new JobSearch({ ...parts, portions });
  return {
    shown,
    clientCalls: new ClientCalls({ ...parts, shown }),
    jobChanges: new JobChanges({ ...parts, portions, jobSearch }),
    jobList: new JobList({ ...parts, jobSearch }),
    webhookSenders: new WebhookSenders(parts),
    leases: new Leases(parts),
    purgeTrail: new PurgeTrail(parts),
    reports: new WorkerReports(parts),
    streams: new Streams(parts),
    submissions: new Submissions({ ...parts, shown }),
    workerList: new WorkerList(parts),
    workers: new PullWorkers(parts),
  };
}
