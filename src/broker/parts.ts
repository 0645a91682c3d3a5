// The parts of a broker and how they hang together. Each does one thing; several call each other, so all are made here, in an
// order in which nothing is used before it is there.
import type { Delivery } from "../contract/broker.ts";
import type { Assignment } from "../contract/dispatch.ts";
import type { Upstream } from "../contract/settings.ts";
import type { AccountApi } from "../contract/usage.ts";
import type { ProbedHealth } from "../core/lb/pool.ts";
import { WorkerRoster } from "../core/scheduling/worker-roster.ts";
import type { DeadLetter } from "../db/dead-letters.ts";
import { AlarmClock } from "./alarm.ts";
import { DispatchWake } from "./jobs/dispatch-wake.ts";
import { Dispatcher } from "./jobs/dispatcher.ts";
import { Egress } from "./jobs/egress.ts";
import { HeldCalls } from "./jobs/held-calls.ts";
import { Housekeeping } from "./jobs/housekeeping.ts";
import { Jobs } from "./jobs/jobs.ts";
import { Leases } from "./jobs/leases.ts";
import { LiveIndex } from "./jobs/live-index.ts";
import { LongPolls } from "./jobs/long-polls.ts";
import { PriceClock } from "./jobs/price-clock.ts";
import { PurgeTrail } from "./jobs/purge-follow-up.ts";
import { ShownJobs } from "./jobs/shown-jobs.ts";
import { Streams } from "./jobs/streams.ts";
import { Submissions } from "./jobs/submissions.ts";
import { Sweep } from "./jobs/sweep.ts";
import { LbMark } from "./lb/mark.ts";
import { LbSlots } from "./lb/slots.ts";
import type { Meter } from "./meter.ts";
import { ChunkStore } from "./store/chunks.ts";
import { GraceRow } from "./store/grace-row.ts";
import { BrokerStore } from "./store/jobs.ts";
import { KeptRows } from "./store/kept-rows.ts";
import { KeyCounts } from "./store/key-counts.ts";
import { MeteredSql } from "./store/metered-sql.ts";
import { Purges } from "./store/purges.ts";
import { sumOf } from "./store/stored-bytes.ts";
import { TroubleRow } from "./store/trouble-row.ts";
import { UsageOutbox } from "./usage/outbox.ts";
import { WebhookOutbox } from "./webhooks/outbox.ts";
import { OwedWebhooks } from "./webhooks/owed.ts";
import { WorkerList } from "./workers/list.ts";
import { PullWorkers } from "./workers/pull-workers.ts";
import { Stops } from "./workers/stops.ts";

/** What the parts need of the object around them. None of its work is waited for but `wake`. */
interface Platform {
  readonly endpointId: string;
  readonly storage: DurableObjectStorage;
  readonly meter: Meter;
  readonly nowMs: number;
  readonly accountOf: (tenantId: string) => AccountApi;
  readonly dropPayloads: (keys: readonly string[]) => void;
  /** Serves open polls, sends wake-ups and arms the alarm after a change. */
  readonly wake: (nowMs: number) => Promise<void>;
  readonly carry: (assignment: Assignment) => void;
  readonly stopUpstream: (upstream: Upstream, upstreamJobId: string) => void;
  readonly ping: (upstream: Upstream) => Promise<ProbedHealth>;
  readonly deliver: (delivery: Delivery) => void;
  readonly keepDeadLetter: (tenantId: string, deadLetter: DeadLetter, done: (kept: boolean) => void) => void;
}

export class BrokerParts {
  readonly index = new LiveIndex();
  readonly longPolls = new LongPolls();
  readonly held = new HeldCalls();
  readonly roster = new WorkerRoster();
  readonly egress = new Egress();
  readonly alarmClock: AlarmClock;
  readonly sql: MeteredSql;
  readonly store: BrokerStore;
  readonly purges: Purges;
  readonly kept: KeptRows;
  readonly usageOutbox: UsageOutbox;
  readonly owedWebhooks: OwedWebhooks;
  readonly sweep: Sweep;
  readonly jobs: Jobs;
  readonly keys: KeyCounts;
  readonly troubles: TroubleRow;
  readonly housekeeping: Housekeeping;
  readonly dispatch: DispatchWake;
  readonly dispatcher: Dispatcher;
  readonly shown: ShownJobs;
  readonly submissions: Submissions;
  readonly workers: PullWorkers;
  readonly stops: Stops;
  readonly workerList: WorkerList;
  readonly leases: Leases;
  readonly webhooks: WebhookOutbox;
  readonly streams: Streams;
  readonly lb: LbSlots;
  readonly prices: PriceClock;

  constructor(around: Platform) {
    const { endpointId, storage, meter, nowMs, dropPayloads, wake, accountOf } = around;
    const { index, longPolls, roster, egress } = this;
    this.alarmClock = new AlarmClock(storage, meter);
    const sql = new MeteredSql(storage, meter);
    this.sql = sql;
    const store = new BrokerStore(sql);
    this.store = store;
    this.purges = new Purges(sql);
    const kept = new KeptRows(sql, (uuid) => sumOf(store.measure(uuid)));
    this.kept = kept;
    const usageOutbox = new UsageOutbox({ endpointId, store, index, egress, accountOf });
    this.usageOutbox = usageOutbox;
    const owedWebhooks = new OwedWebhooks(sql);
    this.owedWebhooks = owedWebhooks;
    const keys = new KeyCounts(sql);
    this.keys = keys;
    const sweep = new Sweep(store, this.purges, kept);
    this.sweep = sweep;
    const jobs = this.#makeBook(around);
    this.jobs = jobs;
    this.troubles = new TroubleRow(sql);
    this.troubles.restore(jobs.pool, nowMs);
    const swept = { kept, sweep, keys, egress, dropPayloads };
    this.housekeeping = new Housekeeping({ store, jobs, index, usageOutbox, owedWebhooks, ...swept });
    this.dispatch = new DispatchWake(index, jobs);
    const dispatcher = new Dispatcher({
      endpointId,
      store,
      index,
      jobs,
      egress,
      carry: around.carry,
      holderOf: (holderId) => this.workers.holderOf(holderId),
      isRidOf: (holderId, jobId, sinceMs, atMs) => this.workers.isRidOf(holderId, jobId, sinceMs, atMs),
      provenWorkers: (atMs) => this.workers.proven(atMs),
      hand: (holderId, job) => this.workers.hand(holderId, job),
    });
    this.dispatcher = dispatcher;
    const shown = new ShownJobs({ store, jobs, egress });
    this.shown = shown;
    this.submissions = new Submissions({ store, kept, jobs, index, dispatcher, shown, keys, owedWebhooks, wake });
    const stops = new Stops({ roster, jobs, longPolls });
    this.stops = stops;
    this.workers = new PullWorkers({ endpointId, roster, jobs, index, longPolls, stops, dispatcher, egress, wake });
    this.workerList = new WorkerList({ roster, jobs, index, egress, lookLb: (id, atMs) => this.lb.look(id, atMs) });
    this.leases = new Leases({ endpointId, jobs, dispatcher, longPolls, wake });
    const chunks = new ChunkStore(sql);
    this.streams = new Streams({ jobs, store, kept, chunks, longPolls, held: this.held, egress, wake }, nowMs);
    this.lb = new LbSlots({ endpointId, jobs, usageOutbox, mark: new LbMark(sql), ping: around.ping, wake }, nowMs);
    this.prices = new PriceClock({ settings: () => jobs.settings, begun: (atMs) => this.#reprice(atMs) });
    const { deliver, keepDeadLetter } = around;
    this.webhooks = new WebhookOutbox({
      endpointId,
      store,
      index,
      jobs,
      owed: owedWebhooks,
      egress,
      dropPayloads,
      deliver,
      keepDeadLetter,
    });
  }

  #reprice(nowMs: number): void {
    this.jobs.reprice(nowMs);
    this.lb.configured(nowMs);
  }

  #makeBook({ nowMs, dropPayloads, stopUpstream }: Platform): Jobs {
    const { sql, store, purges, kept, index, usageOutbox, sweep, longPolls, egress, owedWebhooks } = this;
    return new Jobs(
      {
        store,
        graceRow: new GraceRow(sql),
        purges,
        kept,
        index,
        usageOutbox,
        sweep,
        longPolls,
        purgeTrail: new PurgeTrail({ index, longPolls, egress }),
        owedWebhooks,
        webhookMoved: (owed) => this.webhooks.moved(owed),
        dropPayloads,
        stopUpstream,
        workers: {
          seenAtMs: (holderId) => this.workers.seenAtMs(holderId),
          leaseEnded: (holderId, job, how, atMs) => this.workers.leaseEnded(holderId, job, how, atMs),
          stop: (holderId, job, token) => this.stops.add(holderId, job, token),
          explainAbsence: (atMs) => this.workerList.explainAbsence(atMs),
          progressOf: (uuid) => this.workers.reports.progressOf(uuid),
        },
        streamed: (job) => this.streams.bytesOf(job),
        streamEnded: (uuid) => this.streams.forget(uuid),
      },
      nowMs,
    );
  }
}
