// The limits of the metering of active upstreams and workers, with the reason for each number. The test asserts how they relate.

/** Time of an active upstream or worker that stands in one line of the bill: the bill of today then shows what is held today. */
export const METER_SLICE_MAX_MS = 3_600_000;
/**
 * The last call of an active worker is written when the one that is written is this old: a row a minute is nothing beside what such
 * a GPU costs, and a worker that is gone when its broker starts anew is billed for at most this much less than it was there.
 */
export const SEEN_KEPT_EVERY_MS = 60_000;
/** While the endpoint owes as many usage lines as it may, slices wait, and are looked at again after this. */
export const METER_RETRY_MS = 60_000;
