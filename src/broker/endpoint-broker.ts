// EndpointBroker: the only truth about the jobs of one endpoint, and a thin shell over core. Each call reads, lets core
// decide, writes in one transaction, then changes its memory and runs the effects, all in one turn.
import { DurableObject } from "cloudflare:workers";
import type { BrokerApi, Health, JobCall, JobView, SubmitCall, Submitted } from "../contract/broker.ts";
import type { EndpointSettings } from "../contract/settings.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { expiresAtMs, isTerminal } from "../core/job.ts";
import { POST_TIMEOUT_MS, R2_DELETE_KEYS_MAX, WAIT_SLICE_MAX_MS } from "../core/limits.ts";
import type { JobEvent } from "../core/transition.ts";
import { type DeadLetter, keepDeadLetter } from "../db/dead-letters.ts";
import { within } from "../db/deadline.ts";
import { migrateObject } from "../db/object-migrations.ts";
import { log } from "../log.ts";
import { admit, refuseMoreWebhooks } from "./admit.ts";
import { AlarmClock } from "./alarm-clock.ts";
import { DispatchWake } from "./dispatch-wake.ts";
import { Housekeeping } from "./housekeeping.ts";
import { JobBook } from "./job-book.ts";
import { LeaseDesk } from "./lease-desk.ts";
import { LiveIndex } from "./live-index.ts";
import { OwedWebhooks } from "./owed-webhooks.ts";
import { accountOf, entrypoints } from "./peers.ts";
import { Posting } from "./posting.ts";
import { BROKER_MIGRATIONS } from "./schema.ts";
import { Starter } from "./starter.ts";
import { BrokerStore } from "./store.ts";
import { Sweep } from "./sweep.ts";
import { Waiters } from "./waiters.ts";
import { WebhookOutbox } from "./webhook-outbox.ts";

/** What one of the broker's calls takes. */
type CallOf<Name extends keyof BrokerApi> = Parameters<BrokerApi[Name]>[0];

export class EndpointBroker extends DurableObject<Env> implements BrokerApi {
  readonly #endpointId: string;
  readonly #store: BrokerStore;
  readonly #index = new LiveIndex();
  readonly #waiters = new Waiters();
  readonly #owedWebhooks: OwedWebhooks;
  readonly #webhooks: WebhookOutbox;
  readonly #posting: Posting;
  readonly #sweep: Sweep;
  readonly #housekeeping: Housekeeping;
  readonly #book: JobBook;
  readonly #starter: Starter;
  readonly #leases: LeaseDesk;
  readonly #dispatch: DispatchWake;
  readonly #alarmClock: AlarmClock;
  /** Counted costs since the object started; the tests that bound them read this. */
  readonly meter = {
    calls: 0,
    messages: 0,
    alarmsSet: () => this.#alarmClock.timesSet,
    rowsWritten: () => this.#store.rowsWritten,
    rowsRead: () => this.#store.rowsRead,
  };

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const nowMs = Date.now();
    this.#endpointId = ctx.id.name ?? ctx.id.toString();
    migrateObject(ctx.storage, BROKER_MIGRATIONS);
    this.#store = new BrokerStore(ctx.storage);
    this.#posting = new Posting({
      endpointId: this.#endpointId,
      store: this.#store,
      index: this.#index,
      accountOf: (tenantId) => accountOf(env, tenantId),
    });
    this.#owedWebhooks = new OwedWebhooks(ctx.storage);
    this.#sweep = new Sweep(this.#store, nowMs);
    this.#book = new JobBook(
      {
        store: this.#store,
        index: this.#index,
        posting: this.#posting,
        sweep: this.#sweep,
        waiters: this.#waiters,
        owedWebhooks: this.#owedWebhooks,
        webhookMoved: (owed) => this.#webhooks.moved(owed),
        dropPayloads: (keys) => this.#dropPayloads(keys),
        stopUpstream: (upstream, upstreamJobId) =>
          this.#launch(entrypoints(this.ctx).Carrier.stop({ upstream, upstreamJobId }), "stop"),
      },
      nowMs,
    );
    this.#housekeeping = new Housekeeping({
      book: this.#book,
      index: this.#index,
      posting: this.#posting,
      sweep: this.#sweep,
      owedWebhooks: this.#owedWebhooks,
      dropPayloads: (keys) => this.#dropPayloads(keys),
    });
    this.#dispatch = new DispatchWake(this.#index, this.#book);
    this.#alarmClock = new AlarmClock(ctx.storage);
    this.#starter = new Starter({
      endpointId: this.#endpointId,
      store: this.#store,
      index: this.#index,
      book: this.#book,
      carry: (assignment) => this.#launch(entrypoints(this.ctx).Carrier.carry(assignment), "carry"),
    });
    this.#leases = new LeaseDesk({
      endpointId: this.#endpointId,
      book: this.#book,
      starter: this.#starter,
      waiters: this.#waiters,
      wake: (atMs) => this.#wake(atMs),
    });
    this.#webhooks = new WebhookOutbox({
      endpointId: this.#endpointId,
      store: this.#store,
      index: this.#index,
      book: this.#book,
      owed: this.#owedWebhooks,
      dropPayloads: (keys) => this.#dropPayloads(keys),
      deliver: (delivery) => this.#launch(entrypoints(this.ctx).Courier.deliver(delivery), "deliver"),
      bury: (tenantId, letter, done) => this.#launch(this.#bury(tenantId, letter, done), "bury"),
    });
    ctx.blockConcurrencyWhile(async () => {
      await this.#alarmClock.readArmed();
      await this.#arm(nowMs);
    });
  }

  async configure(settings: EndpointSettings): Promise<{ version: number }> {
    this.meter.calls += 1;
    const nowMs = Date.now();
    const present = this.#book.settings;
    if (present !== null && present.version > settings.version) return { version: present.version };
    this.#book.configure(settings, nowMs);
    await this.#wake(nowMs);
    return { version: settings.version };
  }

  async submit(call: SubmitCall): Promise<Result<Submitted>> {
    this.meter.calls += 1;
    const nowMs = Date.now();
    const settings = this.#book.settings;
    if (settings === null || settings.version < call.settingsVersion) return fail({ kind: "settings_behind" });
    const admitted = this.#store.transaction(() =>
      admit(call, settings, {
        store: this.#store,
        nowMs,
        queueSeq: this.#book.nextQueueSeq,
        waiting: this.#index.counts(call.tenantId).waiting,
        live: this.#index.size,
        webhooksOwed: this.#index.counts(call.tenantId).webhooksOwed,
      }),
    );
    if (!admitted.ok) return admitted;
    const { job, created, inserted, webhookHost } = admitted.value;
    if (inserted) {
      this.#book.enter(job, webhookHost, nowMs);
      // A waiting client needs no queue: the carrier starts in this very call.
      if (call.mode === "runsync") this.#starter.startReady(nowMs);
      await this.#wake(nowMs);
    }
    const stored = this.#book.load(job.uuid);
    if (stored === null) return fail({ kind: "not_found" });
    return ok({ created, job: this.#book.view(stored, nowMs) });
  }

  async read(call: JobCall & { readonly ttlMs: number | null }): Promise<Result<JobView>> {
    this.meter.calls += 1;
    const nowMs = Date.now();
    const stored = this.#book.own(call, nowMs);
    if (stored === null) return fail({ kind: "not_found" });
    if (call.ttlMs === null) return ok(this.#book.view(stored, nowMs));
    const moved = this.#book.apply(stored, { kind: "set_ttl", ttlMs: call.ttlMs }, nowMs);
    await this.#arm(nowMs);
    return ok(this.#book.view({ ...stored, job: moved.job }, nowMs));
  }

  async wait(call: JobCall & { readonly holdMs: number }): Promise<Result<JobView>> {
    this.meter.calls += 1;
    const stored = this.#book.own(call, Date.now());
    if (stored === null) return fail({ kind: "not_found" });
    if (isTerminal(stored.job.status)) return ok(this.#book.view(stored, Date.now()));
    await this.#waiters.wait(stored.job.uuid, Math.min(call.holdMs, WAIT_SLICE_MAX_MS));
    // A job that timed out is gone for every later call; the one who waited is told so this once.
    const after = this.#book.load(stored.job.uuid);
    return after === null ? fail({ kind: "not_found" }) : ok(this.#book.view(after, Date.now()));
  }

  async cancel(call: JobCall): Promise<Result<JobView>> {
    return this.#command(call, { kind: "cancel" }, "");
  }

  async retry(call: JobCall): Promise<Result<JobView>> {
    const owing = refuseMoreWebhooks(this.#owedWebhooks.countOf(call.tenantId));
    if (owing !== null) return fail(owing);
    return this.#command(call, { kind: "retry" }, "only a FAILED job can be retried");
  }

  async purgeQueue(call: { readonly tenantId: string }): Promise<{ removed: number }> {
    this.meter.calls += 1;
    const nowMs = Date.now();
    const removed = this.#book.purge(call.tenantId, nowMs);
    await this.#arm(nowMs);
    return { removed };
  }

  async health(call: { readonly tenantId: string }): Promise<Health> {
    this.meter.calls += 1;
    const { completed, failed, retried } = this.#book.retained.of(call.tenantId);
    const { waiting, running } = this.#index.counts(call.tenantId);
    return {
      jobs: { completed, failed, inProgress: running, inQueue: waiting, retried },
      workers: { initializing: 0, ...this.#book.pool.counts() },
    };
  }

  async requests(call: { readonly tenantId: string }): Promise<{ jobs: JobView[] }> {
    this.meter.calls += 1;
    const nowMs = Date.now();
    const stored = this.#store
      .newestOfTenant(call.tenantId, 100)
      .map((row) => ({ ...row, job: this.#book.settle(row) }));
    return { jobs: stored.filter((row) => expiresAtMs(row.job) > nowMs).map((row) => this.#book.view(row, nowMs)) };
  }

  async depth(call: { readonly tenantId: string }): Promise<{ waiting: number; running: number }> {
    this.meter.calls += 1;
    const { waiting, running } = this.#index.counts(call.tenantId);
    return { waiting, running };
  }

  async start(): Promise<{ started: number }> {
    this.meter.calls += 1;
    const nowMs = Date.now();
    this.#dispatch.arrived();
    const started = this.#starter.startReady(nowMs);
    await this.#wake(nowMs);
    return { started };
  }

  async renew(call: CallOf<"renew">): Promise<boolean> {
    this.meter.calls += 1;
    return this.#leases.renew(call);
  }

  async handOver(call: CallOf<"handOver">): Promise<boolean> {
    this.meter.calls += 1;
    return this.#leases.handOver(call);
  }

  async letGo(call: CallOf<"letGo">): Promise<void> {
    this.meter.calls += 1;
    await this.#leases.letGo(call);
  }

  async noteUpstreamJob(call: CallOf<"noteUpstreamJob">): Promise<boolean> {
    this.meter.calls += 1;
    return this.#leases.noteUpstreamJob(call);
  }

  async finish(call: CallOf<"finish">): Promise<{ accepted: boolean }> {
    this.meter.calls += 1;
    return this.#leases.finish(call);
  }

  async startWebhooks(): Promise<{ started: number }> {
    this.meter.calls += 1;
    const nowMs = Date.now();
    this.#webhooks.woke();
    const started = this.#webhooks.send(nowMs);
    await this.#arm(nowMs);
    return { started };
  }

  async finishWebhook(call: CallOf<"finishWebhook">): Promise<void> {
    this.meter.calls += 1;
    const nowMs = Date.now();
    this.#webhooks.settle(call, nowMs);
    this.#webhooks.send(nowMs);
    await this.#arm(nowMs);
  }

  override async alarm(): Promise<void> {
    this.#alarmClock.rang();
    const nowMs = Date.now();
    try {
      this.#housekeeping.run(nowMs);
      // Not waited for: an account that hangs must not hold up the deadlines of others.
      if (this.#posting.nextAtMs <= nowMs) this.#launch(this.#post(nowMs), "post");
    } catch (error) {
      // An alarm that throws seven times is dropped by the platform, and with it every deadline of the endpoint.
      log("alarm_failed", { endpoint: this.#endpointId, error: String(error) });
    }
    await this.#wake(Date.now());
  }

  async #command(call: JobCall, event: JobEvent, refusal: string): Promise<Result<JobView>> {
    this.meter.calls += 1;
    const nowMs = Date.now();
    const stored = this.#book.own(call, nowMs);
    if (stored === null) return fail({ kind: "not_found" });
    const moved = this.#book.apply(stored, event, nowMs);
    if (moved.reply === "refused")
      return fail({ kind: "wrong_state", message: `${refusal}; it is ${stored.job.status}` });
    await this.#wake(nowMs);
    const after = this.#book.load(stored.job.uuid);
    return after === null ? fail({ kind: "not_found" }) : ok(this.#book.view(after, nowMs));
  }

  async #post(nowMs: number): Promise<void> {
    await this.#posting.post(nowMs);
    await this.#arm(Date.now());
  }

  async #bury(tenantId: string, letter: DeadLetter, done: (kept: boolean) => void): Promise<void> {
    try {
      await within(POST_TIMEOUT_MS, keepDeadLetter(this.env.DB, tenantId, letter), "D1");
      done(true);
    } catch (error) {
      log("dead_letter_failed", { endpoint: this.#endpointId, job: letter.jobId, error: String(error) });
      done(false);
    }
    await this.#arm(Date.now());
  }

  #dropPayloads(keys: readonly string[]): void {
    for (let at = 0; at < keys.length; at += R2_DELETE_KEYS_MAX) {
      this.#launch(this.env.PAYLOADS.delete(keys.slice(at, at + R2_DELETE_KEYS_MAX)), "delete_payloads");
    }
  }

  /** Sends the wake-ups that are wanted, and arms the alarm for whatever comes next. */
  async #wake(nowMs: number): Promise<void> {
    if (this.#dispatch.wants(nowMs)) this.#sendMessage(this.env.DISPATCH);
    if (this.#webhooks.wantsWake(nowMs)) this.#sendMessage(this.env.WEBHOOKS);
    await this.#arm(nowMs);
  }

  #sendMessage(queue: Queue): void {
    this.meter.messages += 1;
    this.#launch(queue.send({ endpointId: this.#endpointId }), "wake");
  }

  /** Work that this object starts and does not wait for. Its failure is repaired by a lease or by the alarm. */
  #launch(work: Promise<unknown>, what: string): void {
    this.ctx.waitUntil(
      work.catch((error: unknown) => log("launch_failed", { endpoint: this.#endpointId, what, error: String(error) })),
    );
  }

  async #arm(nowMs: number): Promise<void> {
    const earliestMs = Math.min(
      this.#index.nextDueAtMs(),
      this.#posting.nextAtMs,
      this.#sweep.nextAtMs,
      this.#webhooks.nextAtMs(nowMs),
      this.#dispatch.nextAtMs(nowMs),
    );
    await this.#alarmClock.arm(earliestMs, nowMs);
  }
}
