// The limits of an endpoint's settings on their way and of its deletion, with the reason for each number. The test asserts
// how they relate.

/** While D1 is down an edge uses the settings that it read last for so long: nobody can change them meanwhile. */
export const SETTINGS_LAST_GOOD_MS = 86_400_000;
/**
 * The edge pushes settings to a broker only so long after it has taken them out of its memory: a request whose body comes
 * slowly may be as old as its client likes. Ten times what the largest body takes at 1 Mbit/s.
 */
export const SETTINGS_PUSH_MAX_MS = 30 * 60_000;
/**
 * The broker of a deleted endpoint keeps its settings at least so long, and with them the refusal of older ones. An emptied
 * object has no settings: it would take those that an edge still has from before the deletion, and accept jobs again.
 */
export const CLOSED_KEPT_MS = 25 * 3_600_000;
/** An emptying that has failed (R2 or D1 did not answer) is tried again after this, and one that was lost on its way. */
export const EMPTYING_RETRY_MS = 60_000;
/**
 * Pages of objects that one alarm deletes: each takes two calls of R2, and an invocation may make 1,000. What is left has
 * the next alarm.
 */
export const EMPTYING_PAGES_MAX = 400;
/**
 * Characters of an endpoint's upstreams and worker keys together, beyond which none is added: some 4,000 keys. A broker stores its settings
 * in one row, of which the platform takes 2 MB: half of that is left for prices, and for what is added at the same moment.
 */
export const SETTINGS_CHARS_MAX = 1_000_000;
