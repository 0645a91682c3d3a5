// Ready machines that their provider's list lacks, or shows as ended, and what their workers show of themselves at that moment. Workers that
// pull call by themselves. Those of a load-balanced endpoint call nobody, so that no silence tells of their end: they are called.
import { providerOf } from "../../core/fleet/fleet-state.ts";
import { type Instance, isNewlyReady } from "../../core/fleet/instance.ts";
import { LIST_LAG_MS } from "../../core/fleet/limits.ts";
import { instanceName, type Listed, type ProviderAnswer } from "../../core/fleet/provider.ts";
import { isDown } from "../../core/fleet/take-list.ts";
import type { LbLife } from "../../core/lb/pool.ts";
import { WORKER_PING_INTERVAL_MS } from "../../core/limits.ts";
import type { LbSlots } from "../lb/slots.ts";
import type { BrokerState } from "../state.ts";
import { holderOfInstance } from "./machines.ts";
import type { FleetWork } from "./work.ts";

interface Parts extends Pick<BrokerState, "machines" | "endpoint" | "roster" | "index"> {
  readonly lb: LbSlots;
}

export interface Sighted {
  /** Ids of machines whose workers were called in vain, each with the last time at which it is known to have been there, epoch ms. */
  readonly lost: ReadonlyMap<string, number>;
  /** Ids of machines whose workers are there, whatever the list shows of them. */
  readonly there: ReadonlySet<string>;
  /** Ids of machines whose workers are known, and have run nothing since they became ready a short while ago. */
  readonly unproven: ReadonlySet<string>;
}

const NOTHING: Sighted = { lost: new Map(), there: new Set(), unproven: new Set() };

/** What the workers show that an answer to a list concerns. */
export async function sight(
  parts: Parts,
  work: FleetWork,
  providerId: string,
  answer: ProviderAnswer,
): Promise<Sighted> {
  const { machines, endpoint } = parts;
  const { listing } = providerOf(machines.state, providerId);
  if (answer.kind !== "listed" || listing === null) return NOTHING;
  const byName = new Map(answer.instances.map((listed) => [listed.name, listed]));
  const own = [...machines.all()].filter((instance) => instance.providerId === providerId);
  const listedOf = ({ id }: Instance) => byName.get(instanceName(endpoint.id, id));
  const down = own.filter((instance) => isShownDown(instance, listedOf(instance), listing.atMs));
  if (endpoint.settings?.kind !== "load_balancer") {
    const unproven = unprovenOf(own, work);
    // One that has run nothing yet, and runs nothing, has failed its start, though it calls: no job is lost with it.
    const counts = (one: Instance) => !unproven.has(one.id) || runsJob(parts, one);
    const there = down.filter((one) => counts(one) && isCalling(parts, one, listing.atMs));
    return { ...NOTHING, there: new Set(there.map(({ id }) => id)), unproven };
  }
  const missing = own.filter((one) => listedOf(one) === undefined && isSurelyMissing(one, listing.atMs));
  const called = await callThem(parts, missing, down);
  return { ...called, unproven: unprovenOf(own, work) };
}

function unprovenOf(own: readonly Instance[], work: FleetWork): ReadonlySet<string> {
  const nowMs = Date.now();
  const workers = work.workers(nowMs);
  const unproven = own.filter((one) => workers.get(one.id)?.hasRun === false && isNewlyReady(one, nowMs));
  return new Set(unproven.map(({ id }) => id));
}

/** Is it shown as ended though its worker was ready? */
function isShownDown(instance: Instance, listed: Listed | undefined, atMs: number): boolean {
  const wasReady = instance.phase === "ready" || instance.phase === "draining";
  return wasReady && listed !== undefined && isDown(instance, listed, atMs);
}

function isSurelyMissing({ phase, readyAtMs, startedAtMs }: Instance, atMs: number): boolean {
  return phase === "ready" && atMs >= (readyAtMs ?? startedAtMs) + LIST_LAG_MS;
}

/** Does the worker of a queue endpoint's machine run a job? */
function runsJob({ index }: Parts, instance: Instance): boolean {
  return index.runningOn(holderOfInstance(instance)).length > 0;
}

/** Has its worker called since the list was asked for, or so shortly before that its next call may be under way? */
function isCalling({ roster }: Parts, instance: Instance, atMs: number): boolean {
  const calledAtMs = roster.get(holderOfInstance(instance))?.lastSeenAtMs ?? 0;
  return calledAtMs >= Math.max(atMs - 2 * WORKER_PING_INTERVAL_MS, instance.startedAtMs);
}

async function callThem(
  parts: Parts,
  missing: readonly Instance[],
  down: readonly Instance[],
): Promise<Omit<Sighted, "unproven">> {
  const { lb } = parts;
  const isBusy = ({ id }: Instance) => (lb.lifeOf(id, Date.now())?.running ?? 0) > 0;
  // Until the requests of an earlier start of the object are renewed it is not known which machines run some.
  if (Date.now() < lb.recalledAtMs) return { lost: new Map(), there: new Set(down.map(({ id }) => id)) };
  const asked = await Promise.all(
    [...missing, ...down].map(async (instance) => {
      const seenAtMs = lastSeenAtMs(parts, instance, lb.lifeOf(instance.id, Date.now()));
      const wasBusy = isBusy(instance);
      return { instance, seenAtMs, wasBusy, health: wasBusy ? null : await lb.probe(instance.id) };
    }),
  );
  const lost = new Map<string, number>();
  const there = new Set<string>();
  for (const { instance, seenAtMs, wasBusy, health } of asked) {
    // A busy worker may not answer its /ping, and its requests end by themselves in minutes. They may have begun, or ended, while others
    // were called.
    if (wasBusy || isBusy(instance) || health === "ready" || health === "starting") there.add(instance.id);
    else if (health === "unhealthy") lost.set(instance.id, seenAtMs);
  }
  return { lost, there };
}

/** The list before showed it, or its worker has answered since. With its memory a broker has lost both, a moment before its start. */
function lastSeenAtMs({ machines, endpoint }: Parts, instance: Instance, life: LbLife | null): number {
  const { listedAtMs } = providerOf(machines.state, instance.providerId ?? "");
  const answeredAtMs = life?.health === "ready" ? life.confirmedAtMs : 0;
  return Math.max(listedAtMs, answeredAtMs, instance.readyAtMs ?? 0, endpoint.startedAtMs);
}
