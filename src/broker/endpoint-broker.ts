// EndpointBroker: the only truth about the jobs of one endpoint, and a thin shell over its parts. Each call reads, lets core
// decide, writes in one transaction, then changes its memory and runs the effects, all in one turn.
import { DurableObject } from "cloudflare:workers";
import type { BrokerApi, CallOf, SubmitCall } from "../contract/broker.ts";
import type { JobCall } from "../contract/job-view.ts";
import type { EndpointSettings } from "../contract/settings.ts";
import { migrateObject } from "../db/object-migrations.ts";
import type { Timed } from "./alarm.ts";
import { readTiming } from "./jobs/timing.ts";
import { Meter } from "./meter.ts";
import { type BrokerParts, makeParts } from "./parts.ts";
import { Platform } from "./platform.ts";
import { BROKER_MIGRATIONS } from "./store/schema.ts";
import { mayServe } from "./workers/explain-absence.ts";

/** Settings of the same version may differ all the same: a new release may read more out of the same rows. */
function isNews(settings: EndpointSettings, present: EndpointSettings): boolean {
  if (settings.version !== present.version) return settings.version > present.version;
  // Of what comes after a deletion nothing but the version is taken.
  if (present.deletedAtMs !== null) return false;
  return JSON.stringify(settings) !== JSON.stringify(present);
}

/** Methods state no types for their answers: `implements BrokerApi` checks each of them against the contract. */
export class EndpointBroker extends DurableObject<Env> implements BrokerApi {
  readonly meter = new Meter();
  /** The parts that the alarm serves; a new part is one more entry. */
  readonly timed: Timed[];
  /** What memory holds, and what leaves; the tests that bound them read this. */
  readonly gauges = {
    kept: (tenantId: string) => this.#parts.kept.of(tenantId),
    sent: () => this.#parts.egress.budget,
  };
  readonly #platform: Platform;
  readonly #parts: BrokerParts;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const nowMs = Date.now();
    migrateObject(ctx.storage, BROKER_MIGRATIONS);
    this.#platform = new Platform(ctx, env, this.meter);
    this.#parts = makeParts(this.#platform, this.meter, nowMs);
    const { alarmClock, keys, timed, wake, fleet } = this.#parts;
    this.timed = timed;
    ctx.blockConcurrencyWhile(async () => {
      await alarmClock.readArmed();
      if (!alarmClock.isArmed(nowMs)) keys.noAlarm(nowMs);
      fleet.look(nowMs);
      await wake.arm(nowMs);
    });
  }

  /** Counts one call, and gives the parts that answer it: every call of the contract begins here. */
  #enter(): BrokerParts {
    this.meter.calls += 1;
    return this.#parts;
  }

  async configure(settings: EndpointSettings) {
    const { endpoint, activeHolds, pullSlots, lb, closing, wake } = this.#enter();
    const nowMs = Date.now();
    const present = endpoint.settings;
    const wasDeleted = endpoint.deletion !== null;
    // Unchanged settings are not written again: a push may come twice, and each written row is billed.
    if (present !== null && !isNews(settings, present)) return { version: present.version };
    activeHolds.configure(settings, nowMs);
    pullSlots.askAll(nowMs);
    lb.configured(nowMs);
    if (endpoint.deletion !== null && !wasDeleted) closing.begin(nowMs);
    await wake.run(nowMs);
    return { version: settings.version };
  }

  async submit(call: SubmitCall) {
    return this.#enter().submissions.submit(call);
  }

  async findRepeated(call: CallOf<"findRepeated">) {
    return this.#enter().submissions.findRepeated(call);
  }

  async read(call: CallOf<"read">) {
    return this.#enter().clientCalls.read(call);
  }

  async describe(call: JobCall) {
    return this.#enter().clientCalls.describe(call);
  }

  async wait(call: CallOf<"wait">) {
    return this.#enter().clientCalls.wait(call);
  }

  async cancel(call: JobCall) {
    return this.#enter().clientCalls.cancel(call);
  }

  async retry(call: CallOf<"retry">) {
    return this.#enter().clientCalls.retry(call);
  }

  async purgeQueue({ tenantId }: CallOf<"purgeQueue">) {
    const { purgeTrail, wake } = this.#enter();
    const nowMs = Date.now();
    const removed = purgeTrail.purge(tenantId, nowMs);
    await wake.arm(nowMs);
    return { removed };
  }

  async health({ tenantId }: CallOf<"health">) {
    const { kept, index, workerList } = this.#enter();
    const { completed, failed, retried } = kept.of(tenantId);
    const { waiting, running } = index.counts(tenantId);
    return {
      jobs: { completed, failed, inProgress: running, inQueue: waiting, retried },
      workers: workerList.counts(Date.now()),
      mayServe: mayServe(this.#parts, Date.now()),
    };
  }

  async requests({ tenantId }: CallOf<"requests">) {
    return { jobs: await this.#enter().shown.list(tenantId) };
  }

  async listJobs(call: CallOf<"listJobs">) {
    return this.#enter().jobList.page(call);
  }

  async changeJobs(call: CallOf<"changeJobs">) {
    return this.#enter().jobChanges.step(call);
  }

  async depth({ tenantId }: CallOf<"depth">) {
    const { index } = this.#enter();
    const { waiting, running } = tenantId === null ? index.countsOfAll() : index.counts(tenantId);
    return { waiting, running };
  }

  async readTiming(call: CallOf<"readTiming">) {
    return readTiming(this.#enter(), call);
  }

  async start() {
    const { dispatchWake, dispatcher, wake } = this.#enter();
    const nowMs = Date.now();
    dispatchWake.arrived();
    const started = dispatcher.startReady(nowMs, { push: true });
    await wake.run(nowMs);
    return { started };
  }

  async renew(call: CallOf<"renew">) {
    return this.#enter().leases.renew(call);
  }

  async handOver(call: CallOf<"handOver">) {
    return this.#enter().leases.handOver(call);
  }

  async letGo(call: CallOf<"letGo">) {
    return this.#enter().leases.letGo(call);
  }

  async noteUpstreamJob(call: CallOf<"noteUpstreamJob">) {
    return this.#enter().leases.noteUpstreamJob(call);
  }

  async noteRunning(call: CallOf<"noteRunning">) {
    return this.#enter().leases.noteRunning(call);
  }

  async nudge(call: CallOf<"nudge">) {
    this.#enter().leases.nudge(call);
  }

  async finish(call: CallOf<"finish">) {
    return this.#enter().leases.finish(call);
  }

  async workerKey({ keyId }: CallOf<"workerKey">) {
    return this.#enter().workers.workerKey(keyId);
  }

  async takeJobs(call: CallOf<"takeJobs">) {
    return this.#enter().workers.takeJobs(call);
  }

  async abandonTake(call: CallOf<"abandonTake">) {
    return this.#enter().workers.abandonTake(call);
  }

  async ping(call: CallOf<"ping">) {
    return this.#enter().workers.ping(call);
  }

  async report(call: CallOf<"report">) {
    return this.#enter().reports.report(call);
  }

  async progress(call: CallOf<"progress">) {
    return this.#enter().reports.progress(call);
  }

  async awaitStops(call: CallOf<"awaitStops">) {
    return this.#enter().stops.await(call);
  }

  async listWorkers({ tenantId }: CallOf<"listWorkers">) {
    return this.#enter().workerList.leave(tenantId);
  }

  async drainWorker(call: CallOf<"drainWorker">) {
    return this.#enter().workers.drain(call);
  }

  async appendChunk(call: CallOf<"appendChunk">) {
    return this.#enter().streams.appendChunk(call);
  }

  async appendPiece(call: CallOf<"appendPiece">) {
    return this.#enter().streams.appendPiece(call);
  }

  async appendChunks(call: CallOf<"appendChunks">) {
    return this.#enter().streams.appendChunks(call);
  }

  async ownChunks(call: CallOf<"ownChunks">) {
    return this.#enter().streams.ownChunks(call);
  }

  async readStream(call: CallOf<"readStream">) {
    return this.#enter().streams.readStream(call);
  }

  async drainStream(call: CallOf<"drainStream">) {
    return this.#enter().streams.drainStream(call);
  }

  async enterLb(call: CallOf<"enterLb">) {
    return this.#enter().lb.enterLb(call);
  }

  async renewLb(ticket: CallOf<"renewLb">) {
    return this.#enter().lb.renewLb(ticket);
  }

  async leaveLb(call: CallOf<"leaveLb">) {
    const { lb, wake } = this.#enter();
    lb.leaveLb(call);
    await wake.run(Date.now());
  }

  async startWebhooks() {
    const { webhooks, webhookSenders, wake } = this.#enter();
    const nowMs = Date.now();
    webhooks.woke();
    const started = webhookSenders.send(nowMs);
    await wake.arm(nowMs);
    return { started };
  }

  async finishWebhook(call: CallOf<"finishWebhook">) {
    const { webhooks, webhookSenders, wake } = this.#enter();
    const nowMs = Date.now();
    webhooks.settle(call, nowMs);
    webhookSenders.send(nowMs);
    await wake.arm(nowMs);
  }

  async listDeliveries(call: CallOf<"listDeliveries">) {
    return this.#enter().deliveries.list(call, Date.now());
  }

  async noteDelivery({ tenantId, tried }: CallOf<"noteDelivery">) {
    const { endpoint, deliveries } = this.#enter();
    // Without settings there is no endpoint, so that nobody could read the row.
    if (endpoint.settings !== null) deliveries.insert(tenantId, tried, Date.now());
  }

  async listDecisions(call: CallOf<"listDecisions">) {
    return this.#enter().fleet.listDecisions(call);
  }

  async sweepFleet() {
    const { fleet, wake } = this.#enter();
    const nowMs = Date.now();
    fleet.sweep(nowMs);
    await wake.arm(nowMs);
  }

  async prewarm(call: CallOf<"prewarm">) {
    return this.#enter().fleet.prewarm(call);
  }

  override async alarm(): Promise<void> {
    const { alarmClock, wake } = this.#parts;
    const armAnew = (): Promise<void> => wake.arm(Date.now());
    await alarmClock.ring((work) => this.#platform.launch(work.finally(armAnew), "alarm"));
    await wake.run(Date.now());
  }
}
