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
import { Departures } from "./jobs/departures.ts";
import { DispatchWake } from "./jobs/dispatch-wake.ts";
import { Starter } from "./jobs/dispatcher.ts";
import { HeldCalls } from "./jobs/held-calls.ts";
import { Housekeeping } from "./jobs/housekeeping.ts";
import { JobBook } from "./jobs/jobs.ts";
import { LeaseDesk } from "./jobs/leases.ts";
import { LiveIndex } from "./jobs/live-index.ts";
import { Waiters } from "./jobs/long-polls.ts";
import { PriceClock } from "./jobs/price-clock.ts";
import { PurgeTrail } from "./jobs/purge-trail.ts";
import { ShownJobs } from "./jobs/shown-jobs.ts";
import { Streams } from "./jobs/streams.ts";
import { SubmitDesk } from "./jobs/submissions.ts";
import { Sweep } from "./jobs/sweep.ts";
import { LbMark } from "./lb/mark.ts";
import { LbDesk } from "./lb/slots.ts";
import { ChunkStore } from "./store/chunks.ts";
import { GraceRow } from "./store/grace-row.ts";
import { BrokerStore } from "./store/jobs.ts";
import { KeptRows } from "./store/kept-rows.ts";
import { KeyCounts } from "./store/key-counts.ts";
import { MeteredSql } from "./store/metered-sql.ts";
import { Purges } from "./store/purges.ts";
import { sumOf } from "./store/stored-bytes.ts";
import { TroubleRow } from "./store/trouble-row.ts";
import { Posting } from "./usage/outbox.ts";
import { WebhookOutbox } from "./webhooks/outbox.ts";
import { OwedWebhooks } from "./webhooks/owed.ts";
import { WorkerList } from "./workers/list.ts";
import { WorkerDesk } from "./workers/pull-workers.ts";
import { StopDesk } from "./workers/stops.ts";

/** What the parts need of the object around them. None of its work is waited for but `wake`. */
interface Surroundings {
  readonly endpointId: string;
  readonly storage: DurableObjectStorage;
  readonly nowMs: number;
  readonly accountOf: (tenantId: string) => AccountApi;
  readonly dropPayloads: (keys: readonly string[]) => void;
  /** Serves open polls, sends wake-ups and arms the alarm after a change. */
  readonly wake: (nowMs: number) => Promise<void>;
  readonly carry: (assignment: Assignment) => void;
  readonly stopUpstream: (upstream: Upstream, upstreamJobId: string) => void;
  readonly ping: (upstream: Upstream) => Promise<ProbedHealth>;
  readonly deliver: (delivery: Delivery) => void;
  readonly bury: (tenantId: string, letter: DeadLetter, done: (kept: boolean) => void) => void;
}

export class BrokerParts {
  readonly index = new LiveIndex();
  readonly waiters = new Waiters();
  readonly held = new HeldCalls();
  readonly roster = new WorkerRoster();
  readonly departures = new Departures();
  readonly alarmClock: AlarmClock;
  readonly sql: MeteredSql;
  readonly store: BrokerStore;
  readonly purges: Purges;
  readonly kept: KeptRows;
  readonly posting: Posting;
  readonly owedWebhooks: OwedWebhooks;
  readonly sweep: Sweep;
  readonly book: JobBook;
  readonly keys: KeyCounts;
  readonly troubles: TroubleRow;
  readonly housekeeping: Housekeeping;
  readonly dispatch: DispatchWake;
  readonly starter: Starter;
  readonly shown: ShownJobs;
  readonly submits: SubmitDesk;
  readonly workers: WorkerDesk;
  readonly stops: StopDesk;
  readonly workerList: WorkerList;
  readonly leases: LeaseDesk;
  readonly webhooks: WebhookOutbox;
  readonly streams: Streams;
  readonly lb: LbDesk;
  readonly prices: PriceClock;

  constructor(around: Surroundings) {
    const { endpointId, storage, nowMs, dropPayloads, wake, accountOf } = around;
    const { index, waiters, roster, departures } = this;
    this.alarmClock = new AlarmClock(storage);
    const sql = new MeteredSql(storage);
    this.sql = sql;
    const store = new BrokerStore(storage, sql);
    this.store = store;
    this.purges = new Purges(sql);
    const kept = new KeptRows(sql, (uuid) => sumOf(store.measure(uuid)));
    this.kept = kept;
    const posting = new Posting({ endpointId, store, index, departures, accountOf });
    this.posting = posting;
    const owedWebhooks = new OwedWebhooks(sql);
    this.owedWebhooks = owedWebhooks;
    const keys = new KeyCounts(sql);
    this.keys = keys;
    const sweep = new Sweep(store, this.purges, kept);
    this.sweep = sweep;
    const book = this.#makeBook(around);
    this.book = book;
    this.troubles = new TroubleRow(sql);
    this.troubles.restore(book.pool, nowMs);
    const swept = { kept, sweep, keys, departures, dropPayloads };
    this.housekeeping = new Housekeeping({ store, book, index, posting, owedWebhooks, ...swept });
    this.dispatch = new DispatchWake(index, book);
    const starter = new Starter({
      endpointId,
      store,
      index,
      book,
      departures,
      carry: around.carry,
      holderOf: (slotsId) => this.workers.holderOf(slotsId),
      isRidOf: (slotsId, jobId, sinceMs, atMs) => this.workers.isRidOf(slotsId, jobId, sinceMs, atMs),
      provenWorkers: (atMs) => this.workers.proven(atMs),
      hand: (slotsId, job) => this.workers.hand(slotsId, job),
    });
    this.starter = starter;
    const shown = new ShownJobs({ store, book, departures });
    this.shown = shown;
    this.submits = new SubmitDesk({ store, kept, book, index, starter, shown, keys, owedWebhooks, wake });
    const stops = new StopDesk({ roster, book, waiters });
    this.stops = stops;
    this.workers = new WorkerDesk({ endpointId, roster, book, index, waiters, stops, starter, departures, wake });
    this.workerList = new WorkerList({ roster, book, index, departures, lookLb: (id, atMs) => this.lb.look(id, atMs) });
    this.leases = new LeaseDesk({ endpointId, book, starter, waiters, wake });
    const chunks = new ChunkStore(sql);
    this.streams = new Streams({ book, store, kept, chunks, waiters, held: this.held, departures, wake }, nowMs);
    this.lb = new LbDesk({ endpointId, book, posting, mark: new LbMark(sql), ping: around.ping, wake }, nowMs);
    this.prices = new PriceClock({ settings: () => book.settings, begun: (atMs) => this.#reprice(atMs) });
    const { deliver, bury } = around;
    this.webhooks = new WebhookOutbox({
      endpointId,
      store,
      index,
      book,
      owed: owedWebhooks,
      departures,
      dropPayloads,
      deliver,
      bury,
    });
  }

  #reprice(nowMs: number): void {
    this.book.reprice(nowMs);
    this.lb.configured(nowMs);
  }

  #makeBook({ nowMs, dropPayloads, stopUpstream }: Surroundings): JobBook {
    const { sql, store, purges, kept, index, posting, sweep, waiters, departures, owedWebhooks } = this;
    return new JobBook(
      {
        store,
        graceRow: new GraceRow(sql),
        purges,
        kept,
        index,
        posting,
        sweep,
        waiters,
        purgeTrail: new PurgeTrail({ index, waiters, departures }),
        owedWebhooks,
        webhookMoved: (owed) => this.webhooks.moved(owed),
        dropPayloads,
        stopUpstream,
        workers: {
          heardAtMs: (slotsId) => this.workers.heardAtMs(slotsId),
          leaseEnded: (slotsId, job, how, atMs) => this.workers.leaseEnded(slotsId, job, how, atMs),
          stop: (slotsId, job, token) => this.stops.add(slotsId, job, token),
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
