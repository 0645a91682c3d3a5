// The edge's side of a slot of a load-balanced endpoint: waiting for one in slices, keeping it, giving it back.
import type { LbOutcome, LbTicket } from "../../contract/load-balancer.ts";
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import type { Affinity } from "../../core/lb/pool.ts";
import { LB_RENEW_MS, WAIT_SLICE_MAX_MS } from "../../core/limits.ts";
import { log } from "../../log.ts";
import type { EndpointCall } from "../kit/enter.ts";

/** Who asks, and for what. */
export interface SeatRequest extends EndpointCall {
  readonly requestId: string;
  readonly affinity: Affinity;
  /** When the wait is over, epoch ms. */
  readonly untilMs: number;
  /** The client has gone. */
  readonly signal: AbortSignal;
}

export interface Seat {
  readonly ticket: LbTicket;
  /** Gives the slot back, and has the request billed or not. The first end counts: it is the cause of any other. */
  leave(outcome: LbOutcome): Promise<void>;
}

/** `none_left`: every worker has failed this request. `left`: the client has gone. */
export type Seating = { readonly kind: "seat"; readonly seat: Seat } | { readonly kind: "none_left" | "left" };

/** Waits for a slot. `lost` is called when the broker has given the slot to another request: the call must end at once. */
export async function takeSeat(
  request: SeatRequest,
  avoidIds: readonly string[],
  lost: () => void,
): Promise<Result<Seating>> {
  const { requestId, affinity, untilMs, signal, settings, caller, broker } = request;
  const call = { tenantId: caller.tenantId, settingsVersion: settings.version, requestId, affinity, avoidIds };
  const leaveLine = (): void => void leave(request, null, "unused");
  signal.addEventListener("abort", leaveLine);
  try {
    for (;;) {
      if (signal.aborted) return ok({ kind: "left" });
      const holdMs = Math.min(Math.max(untilMs - Date.now(), 0), WAIT_SLICE_MAX_MS);
      const entered = await broker.call("enterLb", { ...call, holdMs });
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

function keepSeat(request: SeatRequest, ticket: LbTicket, lost: () => void): Seat {
  const { broker, settings } = request;
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
      const { endpointId: endpoint } = settings;
      log("lb_request_ended", { requestId: request.requestId, endpoint, worker: ticket.upstream.id, outcome });
      await leave(request, ticket, outcome);
    },
  };
}

/** Idempotent: the second time the broker does not know the slot any more. What stays unsaid ends without a renewal. */
async function leave(
  { broker, caller, requestId }: SeatRequest,
  ticket: LbTicket | null,
  outcome: LbOutcome,
): Promise<void> {
  await broker.call("leaveLb", { requestId, tenantId: caller.tenantId, ticket, outcome });
}
