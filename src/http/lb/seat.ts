// The edge's side of a slot of a load-balanced endpoint: waiting for one in slices, keeping it, giving it back.
import type { LbOutcome, LbTicket } from "../../contract/load-balancer.ts";
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import type { Affinity } from "../../core/lb/pool.ts";
import { LB_RENEW_MS, WAIT_SLICE_MAX_MS } from "../../core/limits.ts";
import { log } from "../../log.ts";
import type { RouteContext } from "../kit/context.ts";
import type { EndpointCall } from "../kit/enter.ts";
import type { LbTarget } from "./target.ts";

/** A request, who asks, and for what. */
export interface LbCall extends EndpointCall {
  readonly c: RouteContext;
  readonly target: LbTarget;
  readonly affinity: Affinity;
}

interface SeatWanted {
  /** When the wait is over, epoch ms. */
  readonly untilMs: number;
  /** Workers that have failed the request. */
  readonly avoidIds: readonly string[];
  /** Called when the broker has given the slot to another request: the call must end at once. */
  readonly lost: () => void;
}

export interface Seat {
  readonly ticket: LbTicket;
  /** Gives the slot back, and has the request billed or not. The first end counts: it is the cause of any other. */
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
        if (!signal.aborted) return ok({ kind: "seat", seat: keepSeat(request, value.ticket, lost) });
        await leave(request, value.ticket, "unused");
        return ok({ kind: "left" });
      }
      if (signal.aborted) continue;
      if (Date.now() >= untilMs) {
        await leave(request, null, "unused");
        return fail(timedOut(affinity, value.retryAfterSeconds));
      }
    }
  } finally {
    signal.removeEventListener("abort", leaveLine);
  }
}

/** A request that insists on one worker is told that it was this one which had no room. */
function timedOut({ kind }: Affinity, retryAfterSeconds: number): Failure {
  const isBound = kind === "strict" || kind === "resume";
  return isBound ? { kind: "affinity_timeout" } : { kind: "no_worker", retryAfterSeconds };
}

function keepSeat(request: LbCall, ticket: LbTicket, lost: () => void): Seat {
  const { c, broker, settings } = request;
  let hasLeft = false;
  const renew = async (): Promise<void> => {
    const kept = await broker.call("renewLb", ticket);
    // While the broker does not answer the call goes on: one that comes back learns of it by the next renewal.
    // What a renewal that the end has overtaken says is no news, and the request may be with another worker by now.
    if (kept.ok && !kept.value && !hasLeft) lost();
  };
  const renewals = setInterval(() => void renew(), LB_RENEW_MS);
  return {
    ticket,
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

/** Idempotent: the second time the broker does not know the slot any more. What stays unsaid ends without a renewal. */
async function leave({ c, broker, caller }: LbCall, ticket: LbTicket | null, outcome: LbOutcome): Promise<void> {
  const { tenantId } = caller;
  await broker.call("leaveLb", { requestId: c.get("requestId"), tenantId, ticket, outcome });
}
