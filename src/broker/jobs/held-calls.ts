// Calls of clients that the broker holds open: waits for a job's end, readers of streams. Each takes memory here and
// about 100 KB at the edge, so a tenant may hold only so many; once the endpoint is full, only its share.
import type { Failure } from "../../core/failure.ts";
import {
  HELD_ENDPOINT_MAX,
  HELD_TENANT_MAX,
  LIMIT_RETRY_AFTER_SECONDS,
  WORKER_POLLS_TOTAL_MAX,
} from "../../core/limits.ts";

/** The answer to a call above the limit. The edge then answers with the job as it is, or asks again after a pause. */
export const TOO_MANY_HELD: Failure = {
  kind: "too_many_held",
  heldMax: HELD_TENANT_MAX,
  retryAfterSeconds: LIMIT_RETRY_AFTER_SECONDS,
};

/** The same answer for a worker that already has an open job-take. */
export const TOO_MANY_POLLS: Failure = { ...TOO_MANY_HELD, heldMax: WORKER_POLLS_TOTAL_MAX };

export class HeldCalls {
  readonly #byTenant = new Map<string, number>();
  #total = 0;

  /** May one more call of the tenant be held? */
  hasRoom(tenantId: string): boolean {
    const own = this.#byTenant.get(tenantId) ?? 0;
    if (own >= HELD_TENANT_MAX) return false;
    if (this.#total < HELD_ENDPOINT_MAX) return true;
    const tenants = this.#byTenant.size + (own === 0 ? 1 : 0);
    return own < HELD_ENDPOINT_MAX / tenants;
  }

  /** Counts a call for as long as it is held. */
  async count(tenantId: string, held: Promise<void>): Promise<void> {
    this.#total += 1;
    this.#byTenant.set(tenantId, (this.#byTenant.get(tenantId) ?? 0) + 1);
    try {
      await held;
    } finally {
      this.#total -= 1;
      const own = (this.#byTenant.get(tenantId) ?? 0) - 1;
      if (own > 0) this.#byTenant.set(tenantId, own);
      else this.#byTenant.delete(tenantId);
    }
  }
}
