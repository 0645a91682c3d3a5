// The limits of clients' calls about jobs, of tokens for browsers and of the pages that may use them, with the reason for each number;
// those of the management API stand in core/manage/limits.ts. The test asserts how they relate.

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
/**
 * Keys, endpoints and operations that one isolate counts together, some 700 bytes each of its 128 MB. Beyond it the one that was unused
 * for longest is forgotten.
 */
export const COUNTED_CALLS_MAX = 10_000;

/** The life of a token: a page that is left open over night makes its next call with a new one. */
export const TOKEN_LIFE_MAX_SECONDS = 86_400;
/** Time for a visit. */
export const TOKEN_LIFE_DEFAULT_SECONDS = 3_600;
/** Submits of one token. One that leaks costs its tenant so many jobs at most, and a visitor rarely sends a hundred. */
export const TOKEN_CALLS_MAX = 1_000;
/**
 * Tokens of a tenant that have submitted to an endpoint and have not ended: each is a row of some 80 bytes, which is counted at a
 * start of the object. At the default life that is 28 new visitors a second.
 */
export const TOKENS_TENANT_MAX = 100_000;
/** Rows of ended tokens stay so much longer, so that an alarm takes many of them, not each one its own. */
export const TOKENS_SWEEP_AFTER_MS = 600_000;

/** Origins whose pages may call an endpoint: the sites of one product, with those of its tests. */
export const ORIGINS_MAX = 20;
/** The longest name that DNS allows, with scheme and port. */
export const ORIGIN_CHARS_MAX = 270;
/** For so long a browser may go by an earlier answer after an origin was taken off the list. */
export const PREFLIGHT_KEPT_SECONDS = 600;
