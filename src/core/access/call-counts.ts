// Counts the calls of keys by endpoint and operation: those of a window, and those that are open. Nothing here is shared
// between the isolates of a deployment, so each of them lets as many through.
import {
  CALLS_WINDOW_SECONDS,
  type ChangedLimits,
  COUNTED_CALLS_MAX,
  OPEN_COUNTED_MAX_MS,
  OPEN_RETRY_AFTER_SECONDS,
  OPERATION_LIMITS,
  type Operation,
  type OperationLimit,
} from "./limits.ts";
import { RateWindows, ratePolicy } from "./rate-windows.ts";

/** Whose call of what. */
export interface CountedCall {
  readonly keyId: string;
  readonly endpointId: string;
  readonly operation: Operation;
  readonly limit: OperationLimit;
}

/** Why a call is one too many. */
export interface CallRefusal {
  readonly full: "calls" | "open";
  readonly max: number;
  readonly retryAfterSeconds: number;
}

export interface CallTaken {
  /** Values of the headers `RateLimit-Policy` and `RateLimit`. */
  readonly policy: string;
  readonly rest: string;
  readonly refusal: CallRefusal | null;
  /** To be called when the call is over, once or more often. A refused call is over at once. */
  readonly leave: () => void;
}

interface Counted {
  readonly windows: RateWindows;
  /** When each open call began, epoch ms, in order. */
  readonly open: Map<symbol, number>;
}

const NOTHING = (): void => undefined;

/** The limit of an operation for a tenant. */
export function limitOf(operation: Operation, changed: ChangedLimits | null): OperationLimit {
  return changed?.[operation] ?? OPERATION_LIMITS[operation];
}

export class CallCounts {
  /** In the order of their last call. */
  readonly #counted = new Map<string, Counted>();

  get size(): number {
    return this.#counted.size;
  }

  /** Counts a call at this time, epoch ms. */
  take({ keyId, endpointId, operation, limit }: CountedCall, nowMs: number): CallTaken {
    const { windows, open } = this.#countOf(`${keyId} ${endpointId} ${operation}`);
    const quotas = [{ name: operation, seconds: CALLS_WINDOW_SECONDS, quota: limit.calls }];
    const { header, full } = windows.take(quotas, nowMs);
    const atOnce = limit.open === null ? "" : `, "${operation}-open";q=${limit.open};qu="concurrent-requests"`;
    const policy = ratePolicy(quotas) + atOnce;
    if (full !== null) {
      const { retryAfterSeconds } = full;
      return { policy, rest: header, refusal: { full: "calls", max: limit.calls, retryAfterSeconds }, leave: NOTHING };
    }
    if (limit.open === null) return { policy, rest: header, refusal: null, leave: NOTHING };
    dropLost(open, nowMs);
    if (open.size >= limit.open) {
      const rest = `${header}, "${operation}-open";r=0;t=${OPEN_RETRY_AFTER_SECONDS}`;
      const refusal = { full: "open", max: limit.open, retryAfterSeconds: OPEN_RETRY_AFTER_SECONDS } as const;
      return { policy, rest, refusal, leave: NOTHING };
    }
    const call = Symbol();
    open.set(call, nowMs);
    return { policy, rest: header, refusal: null, leave: () => void open.delete(call) };
  }

  #countOf(name: string): Counted {
    const counted = this.#counted.get(name) ?? { windows: new RateWindows(), open: new Map() };
    this.#counted.delete(name);
    this.#counted.set(name, counted);
    const oldest = this.#counted.keys().next().value;
    if (this.#counted.size > COUNTED_CALLS_MAX && oldest !== undefined) this.#counted.delete(oldest);
    return counted;
  }
}

function dropLost(open: Map<symbol, number>, nowMs: number): void {
  for (const [call, beganAtMs] of open) {
    if (nowMs - beganAtMs < OPEN_COUNTED_MAX_MS) return;
    open.delete(call);
  }
}
