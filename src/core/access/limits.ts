// The limits of clients' calls about jobs, with the reason for each number; those of the management API stand in
// core/manage/limits.ts. The test asserts how they relate.

/** The operations that are counted apart, as RunPod counts them: `status` is every read of a job, `run` every job that enters. */
export const OPERATIONS = ["run", "runsync", "status", "openai", "cancel", "purge-queue", "requests"] as const;
export type Operation = (typeof OPERATIONS)[number];

/** What a key may do of one operation at one endpoint. */
export interface OperationLimit {
  /** Calls in CALLS_WINDOW_SECONDS. */
  readonly calls: number;
  /** Calls that are open at once; null: no bound. */
  readonly open: number | null;
}

/** The operations whose limits an operator has changed for a tenant. */
export type ChangedLimits = { readonly [Each in Operation]?: OperationLimit | undefined };

/** RunPod's documented figures. There they grow with the running workers; here these base figures hold alone. */
export const OPERATION_LIMITS: Readonly<Record<Operation, OperationLimit>> = {
  run: { calls: 1_000, open: 200 },
  runsync: { calls: 2_000, open: 400 },
  status: { calls: 2_000, open: 400 },
  openai: { calls: 2_000, open: 400 },
  cancel: { calls: 100, open: 20 },
  "purge-queue": { calls: 2, open: null },
  requests: { calls: 10, open: 2 },
};
/** RunPod counts over this time. A call that is refused is taken again when it is over, at most this much later. */
export const CALLS_WINDOW_SECONDS = 10;
/** What an operator may set: more calls than an isolate can take are no limit, and a number is shown in a header. */
export const CALLS_SET_MAX = 1_000_000;
/** `Retry-After` of a call that is one too many at once: nobody knows when one ends, and most end soon. */
export const OPEN_RETRY_AFTER_SECONDS = 1;
/**
 * A call that has been open for this long is counted no more: where the platform ends a call without a word, it would be
 * counted for ever. An event stream may last longer; those that do are few.
 */
export const OPEN_COUNTED_MAX_MS = 15 * 60_000;
/** Keys, endpoints and operations that one isolate counts together, 300 bytes each. Beyond it the one unused for longest is forgotten. */
export const COUNTED_CALLS_MAX = 20_000;
