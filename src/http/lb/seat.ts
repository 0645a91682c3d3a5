// The edge's part of a slot of a load-balanced endpoint: waits for a slot in slices, renews it and gives it back.
import type { LbEntry, LbOutcome, LbTicket } from "../../contract/load-balancer.ts";
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import type { Affinity } from "../../core/lb/pool.ts";
import { LB_RENEW_MS, WAIT_SLICE_MAX_MS } from "../../core/limits.ts";
import { log } from "../../log.ts";
import type { RouteContext } from "../kit/context.ts";
import type { EndpointCall } from "../kit/enter.ts";
import type { LbTarget } from "./target.ts";

/** A request, its caller and its target. */
export interface LbCall extends EndpointCall {
  readonly c: RouteContext;
  readonly target: LbTarget;
  readonly affinity: Affinity;
}

interface SeatWanted {
  /** When the wait ends, epoch ms. */
  readonly untilMs: number;
  /** Workers that have already failed this request. */
  readonly avoidIds: readonly string[];
  /** Called when the broker has given the slot to another request: the call must end at once. */
  readonly lost: () => void;
}

export interface Seat {
  readonly ticket: LbTicket;
  /** How many workers the endpoint had when this one was given, without those that were still starting. */
  readonly workers: number;
  /** Gives the slot back; `outcome` decides about the bill. Only the first call counts: it has the cause of the end. */
  leave(outcome: LbOutcome): Promise<void>;
}

/** `none_left`: every worker has failed this request. `left`: the client has gone. */
export type Seating = { readonly kind: "seat"; readonly seat: Seat } | { readonly kind: "none_left" | "left" };

/** Waits for a slot. */
export async function takeSeat(request: LbCall, { untilMs, avoidIds, lost }: SeatWanted): Promise<Result<Seating>> {
  const { c, affinity, settings, caller, broker } = request;
  const { signal } = c.req.raw;
  const asked = { tenantId: caller.tenantId, requestId: c.get("requestId"), settingsVersion: settings.version };
  const leaveLine = (): void => void leave(request, null, "unused");
  signal.addEventListener("abort", leaveLine);
  try {
    for (;;) {
      if (signal.aborted) return ok({ kind: "left" });
      const holdMs = Math.min(Math.max(untilMs - Date.now(), 0), WAIT_SLICE_MAX_MS);
      const entered = await broker.call("enterLb", { ...asked, affinity, avoidIds, holdMs });
      if (!entered.ok) return entered;
      const { value } = entered;
      if (value.kind === "none_left") return ok(value);
      if (value.kind === "ticket") {
        if (!signal.aborted) return ok({ kind: "seat", seat: keepSeat(request, value, lost) });
        await leave(request, value.ticket, "unused");
        return ok({ kind: "left" });
      }
      if (signal.aborted) continue;
      if (Date.now() >= untilMs) {
        await leave(request, null, "unused");
        return fail(timedOut(affinity, value));
      }
    }
  } finally {
    signal.removeEventListener("abort", leaveLine);
  }
}

/** A request that insists on one worker gets a failure that states that this worker had no room. */
function timedOut({ kind }: Affinity, { retryAfterSeconds, why }: Extract<LbEntry, { kind: "wait" }>): Failure {
  const isBound = kind === "strict" || kind === "resume";
  return isBound ? { kind: "affinity_timeout" } : { kind: "no_worker", retryAfterSeconds, why };
}

function keepSeat(request: LbCall, { ticket, workers }: Extract<LbEntry, { kind: "ticket" }>, lost: () => void): Seat {
  const { c, broker, settings } = request;
  let hasLeft = false;
  const renew = async (): Promise<void> => {
    const kept = await broker.call("renewLb", ticket);
    // While the broker does not answer the call goes on: a broker that restarts learns of it by the next renewal. An
    // answer to a renewal after the end is ignored, because another worker may have the request by then.
    if (kept.ok && !kept.value && !hasLeft) lost();
  };
  const renewals = setInterval(() => void renew(), LB_RENEW_MS);
  return {
    ticket,
    workers,
    leave: async (outcome) => {
      if (hasLeft) return;
      hasLeft = true;
      clearInterval(renewals);
      const facts = { requestId: c.get("requestId"), endpoint: settings.endpointId, worker: ticket.upstream.id };
      log("lb_request_ended", { ...facts, outcome });
      await leave(request, ticket, outcome);
    },
  };
}

/** Idempotent: a second call finds no slot at the broker. If no call arrives, the slot ends for lack of renewals. */
async function leave({ c, broker, caller }: LbCall, ticket: LbTicket | null, outcome: LbOutcome): Promise<void> {
  const { tenantId } = caller;
  await broker.call("leaveLb", { requestId: c.get("requestId"), tenantId, ticket, outcome });
}
