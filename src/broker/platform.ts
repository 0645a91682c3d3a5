// What a broker calls outside of its object: entrypoints, accounts, queues, R2, and D1 for one note. Only calls that return an answer
// are awaited: if one of the others fails, the end of a lease or the alarm repairs it.
import type { Delivery, GivenUp } from "../contract/broker.ts";
import type { Assignment } from "../contract/dispatch.ts";
import type { ProviderCall } from "../contract/fleet.ts";
import type { Upstream } from "../contract/settings.ts";
import type { AccountApi } from "../contract/usage.ts";
import type { ProviderAnswer } from "../core/fleet/provider.ts";
import type { ProbedHealth } from "../core/lb/pool.ts";
import { POST_TIMEOUT_MS, R2_DELETE_KEYS_MAX, WEBHOOK_SEND_MAX_MS } from "../core/limits.ts";
import { within } from "../db/deadline.ts";
import { noteEmptied } from "../db/deleted-endpoints.ts";
import { log } from "../log.ts";
import type { Meter } from "./meter.ts";
import { accountOf, entrypoints } from "./peers.ts";

export class Platform {
  readonly endpointId: string;
  readonly storage: DurableObjectStorage;
  readonly #ctx: DurableObjectState;
  readonly #env: Env;
  readonly #meter: Meter;
  readonly #peers: ReturnType<typeof entrypoints>;

  constructor(ctx: DurableObjectState, env: Env, meter: Meter) {
    this.endpointId = ctx.id.name ?? ctx.id.toString();
    this.storage = ctx.storage;
    this.#ctx = ctx;
    this.#env = env;
    this.#meter = meter;
    this.#peers = entrypoints(ctx);
  }

  accountOf(tenantId: string): AccountApi {
    return accountOf(this.#env, tenantId);
  }

  /** Starts a carrier. */
  carry(assignment: Assignment): void {
    this.launch(this.#peers.Carrier.carry(assignment), "carry");
  }

  /** Asks an upstream to stop a job. */
  stopUpstream(upstream: Upstream, upstreamJobId: string): void {
    this.launch(this.#peers.Carrier.stop({ upstream, upstreamJobId }), "stop");
  }

  ping(upstream: Upstream): Promise<ProbedHealth> {
    return this.#peers.Prober.ping(upstream);
  }

  /** Asks a provider for something about the machines of the endpoint. */
  operate(call: ProviderCall): Promise<ProviderAnswer> {
    return this.#peers.FleetOperator.operate(call);
  }

  /** Starts a webhook sender. */
  deliver(delivery: Delivery): void {
    this.launch(this.#peers.WebhookSender.deliver(delivery), "deliver");
  }

  /** Keeps a webhook that is given up as a dead letter. False: it must be offered again. */
  async keepDead(delivery: Delivery, givenUp: GivenUp): Promise<boolean> {
    try {
      return await within(WEBHOOK_SEND_MAX_MS, this.#peers.WebhookSender.keepDead(delivery, givenUp), "the sender");
    } catch (error) {
      log("dead_letter_failed", { endpoint: this.endpointId, job: delivery.jobId, error: String(error) });
      return false;
    }
  }

  /** Deletes objects of R2. */
  dropPayloads(keys: readonly string[]): void {
    for (let at = 0; at < keys.length; at += R2_DELETE_KEYS_MAX) {
      this.launch(this.#env.PAYLOADS.delete(keys.slice(at, at + R2_DELETE_KEYS_MAX)), "delete_payloads");
    }
  }

  /** Deletes a page of the endpoint's objects in R2. True: there may be more. Throws when R2 does not answer. */
  async dropObjects(): Promise<boolean> {
    const { PAYLOADS } = this.#env;
    const listing = PAYLOADS.list({ prefix: `${this.endpointId}/`, limit: R2_DELETE_KEYS_MAX });
    const { objects, truncated } = await within(POST_TIMEOUT_MS, listing, "R2");
    if (objects.length > 0) await within(POST_TIMEOUT_MS, PAYLOADS.delete(objects.map(({ key }) => key)), "R2");
    return truncated;
  }

  /** Notes in D1 that this object is empty. Throws when D1 does not answer. */
  async noteEmptied(atMs: number): Promise<void> {
    await within(POST_TIMEOUT_MS, noteEmptied(this.#env.DB, this.endpointId, atMs), "D1");
  }

  /** Deletes all that the object stores, with its alarm, and the object from memory: it has no tables any more. */
  async erase(): Promise<void> {
    await this.storage.deleteAll();
    await this.storage.sync();
    log("endpoint_emptied", { endpoint: this.endpointId });
    this.#ctx.abort("the endpoint is deleted", { retryAlarm: false });
  }

  /** Sends this broker a wake-up through one of these queues, which comes back as a call. */
  sendWake(queue: "DISPATCH" | "WEBHOOKS"): void {
    this.#meter.messages += 1;
    this.launch(this.#env[queue].send({ endpointId: this.endpointId }), "wake");
  }

  /** Keeps the object alive for work that nobody waits for. */
  launch(work: Promise<unknown>, what: string): void {
    this.#ctx.waitUntil(
      work.catch((error: unknown) => log("launch_failed", { endpoint: this.endpointId, what, error: String(error) })),
    );
  }
}
