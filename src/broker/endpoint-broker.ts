// EndpointBroker: the only truth about the jobs of one endpoint, and a thin shell over core. Each call reads, lets core
// decide, writes in one transaction, then changes its memory and runs the effects, all in one turn.
import { DurableObject } from "cloudflare:workers";
import type { BrokerApi, Health, SubmitCall, Submitted } from "../contract/broker.ts";
import type { Finished } from "../contract/dispatch.ts";
import type { JobCall, JobView } from "../contract/job-view.ts";
import type { LbEntry } from "../contract/load-balancer.ts";
import type { EndpointSettings } from "../contract/settings.ts";
import type { StreamPage } from "../contract/stream.ts";
import type { HandedJob, ReportReply, WorkerView } from "../contract/worker.ts";
import { fail, type Result } from "../core/failure.ts";
import type { JobEvent } from "../core/job/event.ts";
import { isTerminal } from "../core/job/job.ts";
import { POST_TIMEOUT_MS, R2_DELETE_KEYS_MAX, WAIT_SLICE_MAX_MS } from "../core/limits.ts";
import { type DeadLetter, keepDeadLetter } from "../db/dead-letters.ts";
import { within } from "../db/deadline.ts";
import { migrateObject } from "../db/object-migrations.ts";
import { log } from "../log.ts";
import { refuseRetry } from "./jobs/admit.ts";
import { TOO_MANY_HELD } from "./jobs/held-calls.ts";
import { Meter } from "./meter.ts";
import { BrokerParts } from "./parts.ts";
import { accountOf, entrypoints } from "./peers.ts";
import { BROKER_MIGRATIONS } from "./store/schema.ts";

/** Of one version settings may differ all the same: a release may read more out of the same rows. */
function isNews(settings: EndpointSettings, present: EndpointSettings): boolean {
  if (settings.version !== present.version) return settings.version > present.version;
  return JSON.stringify(settings) !== JSON.stringify(present);
}

/** What one of the broker's calls takes. */
type CallOf<Name extends keyof BrokerApi> = Parameters<BrokerApi[Name]>[0];

export class EndpointBroker extends DurableObject<Env> implements BrokerApi {
  readonly #endpointId: string;
  readonly #parts: BrokerParts;
  readonly meter = new Meter();
  /** What memory holds, and what leaves; the tests that bound them read this. */
  readonly gauges = {
    kept: (tenantId: string) => this.#parts.kept.of(tenantId),
    sent: () => this.#parts.egress.budget,
  };

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const nowMs = Date.now();
    this.#endpointId = ctx.id.name ?? ctx.id.toString();
    migrateObject(ctx.storage, BROKER_MIGRATIONS);
    const { Carrier, WebhookSender, Prober } = entrypoints(ctx);
    this.#parts = new BrokerParts({
      endpointId: this.#endpointId,
      storage: ctx.storage,
      meter: this.meter,
      nowMs,
      accountOf: (tenantId) => accountOf(env, tenantId),
      dropPayloads: (keys) => this.#dropPayloads(keys),
      wake: (atMs) => this.#wake(atMs),
      carry: (assignment) => this.#launch(Carrier.carry(assignment), "carry"),
      stopUpstream: (upstream, upstreamJobId) => this.#launch(Carrier.stop({ upstream, upstreamJobId }), "stop"),
      ping: (upstream) => Prober.ping(upstream),
      deliver: (delivery) => this.#launch(WebhookSender.deliver(delivery), "deliver"),
      keepDeadLetter: (tenantId, deadLetter, done) =>
        this.#launch(this.#storeDeadLetter(tenantId, deadLetter, done), "keepDeadLetter"),
    });
    ctx.blockConcurrencyWhile(async () => {
      await this.#parts.alarmClock.readArmed();
      if (!this.#parts.alarmClock.isArmed(nowMs)) this.#parts.keys.noAlarm(nowMs);
      await this.#arm(nowMs);
    });
  }

  /** Counts one call, and gives the parts that answer it: every call of the contract begins here. */
  #enter(): BrokerParts {
    this.meter.calls += 1;
    return this.#parts;
  }

  async configure(settings: EndpointSettings): Promise<{ version: number }> {
    const parts = this.#enter();
    const nowMs = Date.now();
    const present = parts.jobs.settings;
    // What changes nothing is not written again: a push may come twice, and a row costs each time.
    if (present !== null && !isNews(settings, present)) return { version: present.version };
    parts.jobs.configure(settings, nowMs);
    parts.workers.configured(nowMs);
    parts.lb.configured(nowMs);
    await this.#wake(nowMs);
    return { version: settings.version };
  }

  async submit(call: SubmitCall): Promise<Result<Submitted>> {
    return this.#enter().submissions.submit(call);
  }

  async read(call: JobCall & { readonly ttlMs: number | null }): Promise<Result<JobView>> {
    const parts = this.#enter();
    const nowMs = Date.now();
    const stored = parts.jobs.own(call, nowMs);
    if (stored === null || call.ttlMs === null) return parts.shown.show(stored);
    const moved = parts.jobs.apply(stored, { kind: "set_ttl", ttlMs: call.ttlMs }, nowMs);
    await this.#arm(nowMs);
    return parts.shown.show({ ...stored, job: moved.job });
  }

  async wait(call: JobCall & { readonly holdMs: number }): Promise<Result<JobView>> {
    const parts = this.#enter();
    const stored = parts.jobs.own(call, Date.now());
    if (stored === null || isTerminal(stored.job.status)) return parts.shown.show(stored);
    const { held, longPolls } = parts;
    if (call.holdMs > 0 && !held.hasRoom(call.tenantId)) return fail(TOO_MANY_HELD);
    const holdMs = Math.min(call.holdMs, WAIT_SLICE_MAX_MS);
    if (holdMs > 0) await held.count(call.tenantId, longPolls.wait(stored.job.uuid, holdMs));
    // A job that timed out is gone for every later call; the one who waited is told so this once.
    return parts.shown.showOwn(stored.job);
  }

  async cancel(call: JobCall): Promise<Result<JobView>> {
    return this.#command(call, { kind: "cancel" }, "");
  }

  async retry(call: CallOf<"retry">): Promise<Result<JobView>> {
    const refusal = refuseRetry(call, this.#parts, this.#parts.jobs.settings?.tenantSharePercent ?? 100);
    if (refusal !== null) return fail(refusal);
    return this.#command(call, { kind: "retry" }, "only a FAILED job can be retried");
  }

  async purgeQueue(call: { readonly tenantId: string }): Promise<{ removed: number }> {
    const parts = this.#enter();
    const nowMs = Date.now();
    const removed = parts.jobs.purge(call.tenantId, nowMs);
    await this.#arm(nowMs);
    return { removed };
  }

  async health(call: { readonly tenantId: string }): Promise<Health> {
    const parts = this.#enter();
    const { completed, failed, retried } = parts.kept.of(call.tenantId);
    const { waiting, running } = parts.index.counts(call.tenantId);
    return {
      jobs: { completed, failed, inProgress: running, inQueue: waiting, retried },
      workers: parts.lb.counts(Date.now()) ?? parts.workerList.counts(Date.now()),
    };
  }

  async requests(call: { readonly tenantId: string }): Promise<{ jobs: JobView[] }> {
    const parts = this.#enter();
    return { jobs: await parts.shown.list(call.tenantId) };
  }

  async depth(call: { readonly tenantId: string }): Promise<{ waiting: number; running: number }> {
    const parts = this.#enter();
    const { waiting, running } = parts.index.counts(call.tenantId);
    return { waiting, running };
  }

  async start(): Promise<{ started: number }> {
    const parts = this.#enter();
    const nowMs = Date.now();
    parts.dispatch.arrived();
    const started = parts.dispatcher.startReady(nowMs, { push: true });
    await this.#wake(nowMs);
    return { started };
  }

  async renew(call: CallOf<"renew">): Promise<boolean> {
    return this.#enter().leases.renew(call);
  }

  async handOver(call: CallOf<"handOver">): Promise<boolean> {
    return this.#enter().leases.handOver(call);
  }

  async letGo(call: CallOf<"letGo">): Promise<void> {
    await this.#enter().leases.letGo(call);
  }

  async noteUpstreamJob(call: CallOf<"noteUpstreamJob">): Promise<boolean> {
    return this.#enter().leases.noteUpstreamJob(call);
  }

  async noteRunning(call: CallOf<"noteRunning">): Promise<boolean> {
    return this.#enter().leases.noteRunning(call);
  }

  async nudge(call: CallOf<"nudge">): Promise<void> {
    this.#enter().leases.nudge(call);
  }

  async finish(call: CallOf<"finish">): Promise<Finished> {
    return this.#enter().leases.finish(call);
  }

  async workerKey(call: CallOf<"workerKey">): Promise<Result<{ readonly digest: string }>> {
    return this.#enter().workers.workerKey(call.keyId);
  }

  async takeJobs(call: CallOf<"takeJobs">): Promise<Result<readonly HandedJob[]>> {
    return this.#enter().workers.takeJobs(call);
  }

  async abandonTake(call: CallOf<"abandonTake">): Promise<void> {
    await this.#enter().workers.abandonTake(call);
  }

  async ping(call: CallOf<"ping">): Promise<void> {
    await this.#enter().workers.ping(call);
  }

  async report(call: CallOf<"report">): Promise<ReportReply> {
    return this.#enter().workers.reports.report(call);
  }

  async progress(call: CallOf<"progress">): Promise<ReportReply> {
    return this.#enter().workers.reports.progress(call);
  }

  async awaitStops(call: CallOf<"awaitStops">): Promise<readonly string[] | null> {
    return this.#enter().stops.await(call);
  }

  async listWorkers(call: CallOf<"listWorkers">): Promise<readonly WorkerView[] | null> {
    return this.#enter().workerList.leave(call.tenantId);
  }

  async drainWorker(call: CallOf<"drainWorker">): Promise<boolean> {
    return this.#enter().workers.drain(call);
  }

  async appendChunk(call: CallOf<"appendChunk">): Promise<ReportReply | "too_long"> {
    return this.#enter().streams.appendChunk(call);
  }

  async appendChunks(call: CallOf<"appendChunks">): Promise<boolean> {
    return this.#enter().streams.appendChunks(call);
  }

  async ownChunks(call: CallOf<"ownChunks">): Promise<StreamPage | null> {
    return this.#enter().streams.ownChunks(call);
  }

  async readStream(call: CallOf<"readStream">): Promise<Result<StreamPage>> {
    return this.#enter().streams.readStream(call);
  }

  async drainStream(call: CallOf<"drainStream">): Promise<Result<StreamPage>> {
    return this.#enter().streams.drainStream(call);
  }

  async enterLb(call: CallOf<"enterLb">): Promise<Result<LbEntry>> {
    return this.#enter().lb.enterLb(call);
  }

  async renewLb(ticket: CallOf<"renewLb">): Promise<boolean> {
    return this.#enter().lb.renewLb(ticket);
  }

  async leaveLb(call: CallOf<"leaveLb">): Promise<void> {
    await this.#enter().lb.leaveLb(call);
  }

  async startWebhooks(): Promise<{ started: number }> {
    const parts = this.#enter();
    const nowMs = Date.now();
    parts.webhooks.woke();
    const started = parts.webhooks.send(nowMs);
    await this.#arm(nowMs);
    return { started };
  }

  async finishWebhook(call: CallOf<"finishWebhook">): Promise<void> {
    const parts = this.#enter();
    const nowMs = Date.now();
    parts.webhooks.settle(call, nowMs);
    parts.webhooks.send(nowMs);
    await this.#arm(nowMs);
  }

  override async alarm(): Promise<void> {
    this.#parts.alarmClock.rang();
    const nowMs = Date.now();
    try {
      this.#parts.prices.run(nowMs);
      await this.#parts.housekeeping.run(nowMs);
      // Not waited for: an account that hangs must not hold up the deadlines of others.
      if (this.#parts.usageOutbox.nextAtMs <= nowMs) this.#launch(this.#post(nowMs), "post");
    } catch (error) {
      // An alarm that throws seven times is dropped by the platform, and with it every deadline of the endpoint.
      log("alarm_failed", { endpoint: this.#endpointId, error: String(error) });
    }
    await this.#wake(Date.now());
  }

  async #command(call: JobCall, event: JobEvent, refusal: string): Promise<Result<JobView>> {
    const parts = this.#enter();
    const nowMs = Date.now();
    const stored = parts.jobs.own(call, nowMs);
    if (stored === null) return fail({ kind: "not_found" });
    const moved = parts.jobs.apply(stored, event, nowMs);
    if (moved.reply === "refused")
      return fail({ kind: "wrong_state", message: `${refusal}; it is ${stored.job.status}` });
    await this.#wake(nowMs);
    return parts.shown.showOwn(stored.job);
  }

  async #post(nowMs: number): Promise<void> {
    await this.#parts.usageOutbox.post(nowMs);
    await this.#arm(Date.now());
  }

  async #storeDeadLetter(tenantId: string, deadLetter: DeadLetter, done: (kept: boolean) => void): Promise<void> {
    try {
      await within(POST_TIMEOUT_MS, keepDeadLetter(this.env.DB, tenantId, deadLetter), "D1");
      done(true);
    } catch (error) {
      log("dead_letter_failed", { endpoint: this.#endpointId, job: deadLetter.jobId, error: String(error) });
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
    this.#parts.workers.serve(nowMs);
    if (this.#parts.dispatch.wants(nowMs)) this.#sendMessage(this.env.DISPATCH);
    if (this.#parts.webhooks.wantsWake(nowMs)) this.#sendMessage(this.env.WEBHOOKS);
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
    this.#parts.troubles.keep(this.#parts.jobs.pool, nowMs);
    this.#parts.housekeeping.keepStartSmall(nowMs);
    const earliestMs = Math.min(
      this.#parts.index.nextDueAtMs(),
      this.#parts.usageOutbox.nextAtMs,
      this.#parts.sweep.nextAtMs,
      this.#parts.keys.nextAtMs,
      this.#parts.webhooks.nextAtMs(nowMs),
      this.#parts.dispatch.nextAtMs(nowMs),
      this.#parts.prices.nextAtMs(nowMs),
    );
    await this.#parts.alarmClock.arm(earliestMs, nowMs);
  }
}
