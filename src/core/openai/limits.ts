// Limits of the OpenAI routes, each with its reason. All other limits stand in core/limits.ts.

/** A request of an OpenAI route waits this long for a worker, as RunPod lets a /runsync: a cold start takes minutes. */
export const OPENAI_QUEUE_MAX_MS = 300_000;
/** It waits in calls of this length, because without a signal a gone client is noticed only between two calls. */
export const OPENAI_WAIT_SLICE_MS = 10_000;
/** An answer that is parsed or cut before an OpenAI client gets it is held in memory as a whole, up to this size. */
export const OPENAI_ANSWER_MAX_BYTES = 20 * 1024 * 1024;
/** An OpenAI server that is silent for this long has stalled: after a long prompt a minute may pass before a token. */
export const OPENAI_IDLE_MS = 180_000;
/** Comments keep writing to a paused event stream: only a write shows that the client has gone, which ends its bill. */
export const OPENAI_COMMENT_EVERY_MS = 5_000;
/** A larger OpenAI event passes in parts and is read at both ends alone. An image as base64 has 1 to 3 MB. */
export const OPENAI_EVENT_HELD_MAX_BYTES = 4 * 1024 * 1024;
/** Path and query of a request to an OpenAI server: as much as the guard allows a whole address. */
export const OPENAI_TARGET_MAX_CHARS = 2_048;
/** The content type of an OpenAI request's body: a boundary of multipart has at most 70 characters. */
export const OPENAI_CONTENT_TYPE_MAX_CHARS = 256;
/** A stream without a token begins with a comment then: proxies cut what is silent, and a write shows who has left. */
export const OPENAI_SILENT_MAX_MS = 3_000;
/** W3C allows 8,192 bytes for `baggage`. These headers stand in the job's row. */
export const OPENAI_TRACE_HEADER_MAX_CHARS = 8_192;
/** Versions, and keys of up to 255 characters. */
export const OPENAI_HEADER_MAX_CHARS = 512;
