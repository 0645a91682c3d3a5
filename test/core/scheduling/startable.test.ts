// The jobs for which a fleet may add workers: those of normal priority that could start if there were slots, as a plain recount has them.
import { describe, expect, it } from "vitest";
import { firstUuidAt } from "../../../src/core/job/id.ts";
import { FairOrder } from "../../../src/core/scheduling/fair-order.ts";
import { type Random, seededRandom } from "../../sim/random.ts";

interface Waiting {
  readonly tenantId: string;
  readonly uuid: string;
  readonly isLow: boolean;
  readonly atMs: number;
}

/** The same facts, kept in lists and counted anew each time. */
class Plain {
  waiting: Waiting[] = [];
  readonly running = new Map<string, number>();
  readonly bounds = new Map<string, number>();

  startable(): Waiting[] {
    const tenants = new Set(this.waiting.map(({ tenantId }) => tenantId));
    return [...tenants].flatMap((tenantId) => {
      const room = (this.bounds.get(tenantId) ?? Number.POSITIVE_INFINITY) - (this.running.get(tenantId) ?? 0);
      const own = this.waiting.filter((job) => job.tenantId === tenantId && !job.isLow);
      return own.toSorted((one, other) => (one.uuid < other.uuid ? -1 : 1)).slice(0, Math.max(room, 0));
    });
  }
}

function act(order: FairOrder, plain: Plain, random: Random, nowMs: number): void {
  const tenantId = `t${random.integer(0, 4)}`;
  const kind = random.integer(0, 9);
  if (kind <= 4) {
    const uuid = `${firstUuidAt(nowMs)}-7${random.integer(100, 999)}-8000-${random.integer(1e11, 1e12 - 1)}`;
    const isLow = random.chance(0.3);
    order.add(tenantId, uuid, isLow, nowMs);
    plain.waiting.push({ tenantId, uuid, isLow, atMs: nowMs });
  } else if (kind === 5) {
    const bound = random.chance(0.3) ? null : random.integer(1, 4);
    order.bound(tenantId, bound, nowMs);
    if (bound === null) plain.bounds.delete(tenantId);
    else plain.bounds.set(tenantId, bound);
  } else if (kind === 6 && plain.waiting.length > 0) {
    const job = random.pick(plain.waiting);
    order.remove(job.tenantId, job.uuid, job.isLow);
    plain.waiting = plain.waiting.filter(({ uuid }) => uuid !== job.uuid);
  } else if (kind === 7) {
    order.noteStart(tenantId, nowMs);
    plain.running.set(tenantId, (plain.running.get(tenantId) ?? 0) + 1);
  } else if (kind === 8 && (plain.running.get(tenantId) ?? 0) > 0) {
    order.noteEnd(tenantId, nowMs, 10);
    plain.running.set(tenantId, (plain.running.get(tenantId) ?? 0) - 1);
  } else if (kind === 9 && random.chance(0.1)) {
    order.removeAll(tenantId);
    plain.waiting = plain.waiting.filter((job) => job.tenantId !== tenantId);
  }
}

describe("the jobs that could start if there were slots", () => {
  it("are counted as a plain recount has them, whatever happens", () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const random = seededRandom(seed);
      const order = new FairOrder();
      const plain = new Plain();
      for (let nowMs = 1_000; nowMs < 1_200; nowMs += 1) {
        act(order, plain, random, nowMs);
        const startable = plain.startable();
        expect(order.startable, `seed ${seed}`).toBe(startable.length);
        const atMs = 1_000 + random.integer(0, 200);
        const older = startable.filter((job) => job.atMs < atMs);
        expect(order.startableBefore(firstUuidAt(atMs)), `seed ${seed}`).toBe(older.length);
        const next = startable.filter((job) => job.atMs >= atMs).map(({ uuid }) => uuid);
        expect(order.oldestStartable(firstUuidAt(atMs)), `seed ${seed}`).toBe(next.toSorted()[0]);
      }
    }
  });
});
