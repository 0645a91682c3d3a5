// What passes between the edge and the broker of a load-balanced endpoint, and between that broker and whoever asks a worker
// how it is. Bodies never pass the broker: it gives out slots, and writes the bill.
import type { Result } from "../core/failure.ts";
import type { Affinity, ProbedHealth } from "../core/lb/pool.ts";
import type { Upstream } from "./settings.ts";

/** A request's claim on one slot of a worker. It holds everything that the bill needs, so that a new broker can write it. */
export interface LbTicket {
  readonly token: string;
  readonly tenantId: string;
  /** The start of the broker's object that gave it out. */
  readonly incarnation: string;
  readonly upstream: Upstream;
  /** By the broker's clock, epoch ms. */
  readonly startedAtMs: number;
  readonly nanodollarsPerSecond: number;
}

/** What `enterLb` answers. `wait`: ask again. `none_left`: every worker that there is has failed this request. */
export type LbEntry =
  | { readonly kind: "ticket"; readonly ticket: LbTicket }
  | { readonly kind: "wait"; readonly retryAfterSeconds: number }
  | { readonly kind: "none_left" };

/**
 * How a request ended. `served`: the worker's answer, below 500, went to its end or to a limit. `client_left`: until then it
 * is paid. `too_large`: the client sent more than it may. `worker_failed`: 5xx, broken off, or no answer in time, unpaid.
 * `unreachable`: it gave no answer at all, unpaid. `unused`: the worker was not called.
 */
export type LbOutcome = "served" | "client_left" | "too_large" | "worker_failed" | "unreachable" | "unused";

export interface LbApi {
  /**
   * A slot for a request, at once or within `holdMs` (at most WAIT_SLICE_MAX_MS); between two such calls a request keeps its
   * place in line. `avoidIds`: workers that have failed it. Fails with `no_worker` when the line is full, `affinity_gone`,
   * and `settings_behind`.
   */
  enterLb(call: {
    readonly tenantId: string;
    readonly settingsVersion: number;
    readonly requestId: string;
    readonly affinity: Affinity;
    readonly avoidIds: readonly string[];
    readonly holdMs: number;
  }): Promise<Result<LbEntry>>;
  /** Due every LB_RENEW_MS. False: the slot is somebody else's by now, stop the call. */
  renewLb(ticket: LbTicket): Promise<boolean>;
  /** The request is over. `ticket` null: it was still waiting. */
  leaveLb(call: {
    readonly requestId: string;
    readonly tenantId: string;
    readonly ticket: LbTicket | null;
    readonly outcome: LbOutcome;
  }): Promise<void>;
}

/** Asks a worker how it is, away from the broker, which is billed while it waits. */
export interface ProberApi {
  ping(upstream: Upstream): Promise<ProbedHealth>;
}
