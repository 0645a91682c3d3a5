// The calls between the edge and the broker of a load-balanced endpoint, and between that broker and the prober, which
// asks a worker for its health. Bodies never pass through the broker: it only gives out slots and writes the bill.
import type { Result } from "../core/failure.ts";
import type { Affinity, ProbedHealth } from "../core/lb/pool.ts";
import type { Upstream } from "./settings.ts";

/** A request's claim on a slot of a worker. It has all that the bill needs, so that a restarted broker can write it. */
export interface LbTicket {
  readonly token: string;
  readonly tenantId: string;
  /** Names the start of the broker's object that gave out the ticket. */
  readonly incarnation: string;
  readonly upstream: Upstream;
  /** By the broker's clock, epoch ms. */
  readonly startedAtMs: number;
  readonly nanodollarsPerSecond: number;
  /** How long the request waited for its slot. Tickets of an earlier release lack these two. */
  readonly waitedMs?: number;
  /** The machine of its worker was not ready yet when it came. */
  readonly cold?: boolean;
}

/**
 * What `enterLb` returns. `wait`: call again; `why`: what the endpoint's fleet waits for. `none_left`: every worker of the endpoint has
 * failed this request.
 */
export type LbEntry =
  /** `workers`: how many the endpoint has at this moment, in good health or not, without those that are still starting. */
  | { readonly kind: "ticket"; readonly ticket: LbTicket; readonly workers: number }
  | { readonly kind: "wait"; readonly retryAfterSeconds: number; readonly why: string | null }
  | { readonly kind: "none_left" };

/**
 * How a request ended. `served`: the worker's answer, below 500, went to its end or to a limit. `client_left`: the
 * client has gone, and pays until then. `too_large`: the client sent more than it may. `worker_failed`: the worker
 * answered 5xx, broke off or was late, unpaid. `unreachable`: it gave no answer, unpaid. `unused`: it was not called.
 */
export type LbOutcome = "served" | "client_left" | "too_large" | "worker_failed" | "unreachable" | "unused";

export interface LbApi {
  /**
   * Gives a request a slot, at once or within `holdMs` (at most WAIT_SLICE_MAX_MS); between two such calls the request
   * keeps its place in line. `avoidIds`: workers that have failed this request. Fails with `no_worker` when the line is
   * full, `affinity_gone`, and `settings_behind`.
   */
  enterLb(call: {
    readonly tenantId: string;
    readonly settingsVersion: number;
    readonly requestId: string;
    readonly affinity: Affinity;
    readonly avoidIds: readonly string[];
    readonly holdMs: number;
  }): Promise<Result<LbEntry>>;
  /** Due every LB_RENEW_MS. False: the ticket holds no slot any more, and the edge must stop the call. */
  renewLb(ticket: LbTicket): Promise<boolean>;
  /** The request is over. `ticket` null: it was still waiting for a slot. */
  leaveLb(call: {
    readonly requestId: string;
    readonly tenantId: string;
    readonly ticket: LbTicket | null;
    readonly outcome: LbOutcome;
  }): Promise<void>;
}

/** Asks a worker for its health. The broker does not do that itself, because an object is billed while it waits. */
export interface ProberApi {
  ping(upstream: Upstream): Promise<ProbedHealth>;
}
