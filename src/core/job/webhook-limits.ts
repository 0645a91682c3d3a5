// The limits of what is kept of webhooks beside their schedule, with the reason for each number; the schedule's own
// stand in core/limits.ts.

/** Tries in the log of one tenant in one endpoint, some 300 KB: a hundred webhooks that were tried to the end. */
export const DELIVERIES_TENANT_MAX = 1_000;
/** Longer than a webhook is tried, so that its first tries are still there when it is given up. */
export const DELIVERY_MS = 7 * 86_400_000;
/** Tries in one answer. */
export const DELIVERIES_LISTED_MAX = 100;
/** One sentence: longer texts of failed connections repeat themselves. */
export const DELIVERY_DETAIL_MAX_CHARS = 300;
/** R2 is asked to take the body of a dead letter for so long; then the letter stays one that cannot be sent again. */
export const DEAD_BODY_OFFERED_MS = 86_400_000;
/** One call of R2 for bodies. Two, and one of D1, must end before the sender that makes them is taken for lost. */
export const DEAD_BODY_CALL_MAX_MS = 7_000;
/** Dead letters that one call sends again: with six at once and 15 s for each, it ends within a minute. */
export const REDELIVERED_AT_ONCE_MAX = 20;
/** An invocation has six connections that wait for an answer; a further one would wait while its time runs. */
export const REDELIVERIES_UNDER_WAY_MAX = 6;
