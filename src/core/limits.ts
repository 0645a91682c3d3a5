// Every limit of Waybill with the reason for its number; docs/wire.md has RunPod's. Units last. Relations are asserted in the test.

/** RunPod's documented limit of a `/run` body. */
export const RUN_BODY_MAX_BYTES = 10 * 1024 * 1024;
/** RunPod's documented limit of a `/runsync` body. */
export const RUNSYNC_BODY_MAX_BYTES = 20 * 1024 * 1024;
/** Cloudflare refuses a posted body at 100 MB; a result may travel through another Waybill, so it stays below. */
export const RESULT_MAX_BYTES = 95 * 1024 * 1024;
/** What an output begins with says whether it is OpenAI's: its bodies name their kind before anything large. */
export const OUTPUT_USAGE_HEAD_BYTES = 2 * 1024;
/** Behind the usage of a body stands little else: a system fingerprint, timings, settings of a response. */
export const OUTPUT_USAGE_TAIL_BYTES = 16 * 1024;
/** Up to here a payload stands in the job's own row: no extra row is billed. */
export const PAYLOAD_INLINE_MAX_BYTES = 16 * 1024;
/** Up to here a payload stands in a row of its own; beyond it R2 is cheaper than SQLite. */
export const PAYLOAD_ROW_MAX_BYTES = 256 * 1024;
/** R2 wants parts of at least 5 MiB, all of one size; the smallest holds the least memory. */
export const R2_PART_BYTES = 5 * 1024 * 1024;
/** All fields of a request beside `input`, together: they are held in memory and stand in the job's row. */
export const ENVELOPE_FIELDS_MAX_BYTES = 64 * 1024;
/** Deeper JSON than this is refused: common parsers of workers stop near 1,000. */
export const JSON_DEPTH_MAX = 512;
/** An error text is for people; what is longer is cut. */
export const ERROR_TEXT_MAX_CHARS = 4_000;
/** So much of a reported error is read before it is cut: that of a worker's failed start is JSON, of some 74,000 characters. */
export const ERROR_FIELD_KEPT_CHARS = 128 * 1024;

/** A secret that is shorter is not looked for in what an upstream says: it would be found in words that are none. */
export const SECRET_MIN_CHARS = 8;

/** RunPod's limit of a body through a load-balanced endpoint, each way, and the most that an endpoint may set: Cloudflare's. */
export const LB_BODY_DEFAULT_MAX_BYTES = 30 * 1024 * 1024;
export const LB_BODY_MAX_BYTES = 100 * 1024 * 1024;

/** RunPod's limits of a load-balanced request: waiting for a worker, and the call itself. */
export const LB_WAIT_MAX_MS = 120_000;
export const LB_CALL_MAX_MS = 330_000;
/** The wait for another worker after one that has answered, if badly: its own word is worth more than a late one. */
export const LB_NEXT_WAIT_MAX_MS = 5_000;
/** A WebSocket through a load-balanced endpoint ends when no message came for as long as a request may take. */
export const LB_SOCKET_IDLE_MS = LB_CALL_MAX_MS;
/** What a side of a WebSocket may not have read: the platform's largest message, 32 MiB, and some. An isolate has 128 MB. */
export const LB_SOCKET_UNREAD_MAX_BYTES = 40 * 1024 * 1024;
/** What a side that sends messages is taken to read meanwhile: 16 Mbit/s, as much as a video in 4K. */
export const LB_SOCKET_READ_BYTES_PER_SECOND = 2 * 1024 * 1024;
/** What is left of a WebSocket that is over is sent to its client for so long; then the connection is cut, and the memory free. */
export const LB_SOCKET_REST_MS = 30_000;
/** The edge renews a running request's claim on its slot so often; without a renewal it ends: two may be lost. */
export const LB_RENEW_MS = 10_000;
export const LB_GIVEN_UP_AFTER_MS = 30_000;
/** A broker that has lost its memory hears of every running request within one renewal; two seconds for its call. */
export const LB_RECALL_MS = LB_RENEW_MS + 2_000;
/** Requests that wait in one endpoint, shared fairly among its tenants: each is a held call of about 100 KB at the edge. */
export const LB_WAITING_MAX = 1_000;
/** Waits and stream readers of a tenant that a broker holds: what a large client has, each 100 KB at the edge. */
export const HELD_TENANT_MAX = 1_000;
/** Of all tenants of an endpoint: about 40 MB of its object. Beyond it each tenant holds its share. */
export const HELD_ENDPOINT_MAX = 4_000;
/** Who may not be held asks again after this: a late word, and no burden to the broker. */
export const UNHELD_PAUSE_MS = 2_000;
/** Open job-takes of all workers of an endpoint. Beyond it a worker has one, and is refused more. */
export const WORKER_POLLS_TOTAL_MAX = 4_000;
/** Held job-stops of an endpoint: one a worker, and as many that their clients have left. */
export const STOPS_HELD_MAX = 2_000;
/** Between two slices of its wait a request keeps its place in line for so long. */
export const LB_PLACE_KEPT_MS = 5_000;
/** What was found out about a worker is believed for three probes. */
export const LB_HEALTH_FRESH_MS = 30_000;
/** A worker is asked so often while requests come; */
export const LB_PROBE_EVERY_MS = 10_000;
/** one that is not ready more often, while requests wait for it. */
export const LB_PROBE_WAITED_MS = 2_000;
/** After the last request nothing is asked any more from here on: an idle endpoint costs nothing. */
export const LB_PROBE_UNTIL_MS = 60_000;
/** Longer than any sound worker takes to say that it is ready. */
export const LB_PING_TIMEOUT_MS = 5_000;
/** Workers that one request is tried on, while nothing of an answer has reached the client. */
export const LB_TRIES_MAX = 3;
/** Cloudflare's limit of all headers of an answer is 128 KB; ours must fit beside a worker's. */
export const ANSWER_HEADERS_MAX_BYTES = 64 * 1024;
/**
 * The answer of a worker is held back so long, or until LB_PIPE_BYTES of it are there: one that breaks off by then is a clear
 * 502, or is asked for elsewhere. More would be felt where an answer is streamed word by word.
 */
export const LB_HOLD_MS = 50;
/** Bytes under way in one direction of one request: what the edge holds, whatever the size of the body. */
export const LB_PIPE_BYTES = 64 * 1024;
/** The same of an upload of known length: its garbage is a quarter, 8 in place of 13 MiB of workerd's peak for 64 MiB each way. */
export const LB_FILL_BYTES = 256 * 1024;

/**
 * What a client still sends is taken for so long when its answer is there before. More would be felt where both sides talk at
 * once and the worker is the first to end.
 */
export const REST_MAX_MS = 2_000;

/** RunPod's bounds and defaults of `policy`. */
export const EXECUTION_TIMEOUT_MIN_MS = 5_000;
export const EXECUTION_TIMEOUT_DEFAULT_MS = 600_000;
export const TTL_MIN_MS = 10_000;
export const TTL_DEFAULT_MS = 86_400_000;
export const POLICY_MAX_MS = 604_800_000;
/** A held call cannot outlive an invocation of 15 minutes; one minute is left for the result. */
export const HELD_CALL_MAX_MS = 14 * 60_000;

/** RunPod's bounds and default of `?wait=`. */
export const WAIT_MIN_MS = 1_000;
export const WAIT_MAX_MS = 300_000;
export const WAIT_DEFAULT_MS = 90_000;
/** One wait of the edge on a broker: short, so that a broker that was replaced is asked again soon. */
export const WAIT_SLICE_MAX_MS = 25_000;

/** White space in a /runsync that waits: proxies cut a silent connection after 60 s or more. */
export const SYNC_SPACE_EVERY_MS = 15_000;

/** RunPod keeps a result 30 minutes after `/run`, one minute after `/runsync`; an endpoint may say otherwise. */
export const RUN_RETENTION_DEFAULT_MS = 30 * 60_000;
export const RUNSYNC_RETENTION_DEFAULT_MS = 60_000;

/** How long a request of an OpenAI route waits for a worker: as long as RunPod lets a /runsync wait; a cold start takes minutes. */
export const OPENAI_QUEUE_MAX_MS = 300_000;
/** One question to the broker while it waits: short, so that a client that has gone is noticed, where nothing tells of it. */
export const OPENAI_WAIT_SLICE_MS = 10_000;
/** What is parsed or cut before an OpenAI client gets it is held as a whole. */
export const OPENAI_ANSWER_MAX_BYTES = 20 * 1024 * 1024;
/** An OpenAI server that says nothing for so long has stalled: a long prompt may take a minute before its first token. */
export const OPENAI_IDLE_MS = 180_000;
/** A comment in a stream of events that pauses: only a write shows that the client has gone, and a slot and its bill wait for that. */
export const OPENAI_COMMENT_EVERY_MS = 5_000;

/** A lease that is not renewed ends after this; three renewals fit, so two may be lost. */
export const LEASE_MS = 30_000;
export const LEASE_RENEW_MS = 10_000;
/**
 * A carrier asks for the first time after this, and then waits in the broker until the lease is lost: a cancel reaches it
 * at once, and a job that is shorter costs no call.
 */
export const LEASE_WATCH_AFTER_MS = 1_500;
/** RunPod's workers send a heartbeat in this interval unless their environment says otherwise. */
export const WORKER_PING_INTERVAL_MS = 10_000;
/**
 * A pulled job that its worker names in no heartbeat for so long is lost: under three intervals, so that a death is found
 * within three, and over two, so that one heartbeat may be lost.
 */
export const WORKER_LEASE_MS = 28_000;
/** A held job-take. It bounds how long a worker's shutdown waits for its open poll; more than 20 s keeps it at 3 a minute. */
export const TAKE_HOLD_MAX_MS = 25_000;
/** A held job-stop: at most one a minute, and the worker's client gives up at 90 s. */
export const STOP_HOLD_MS = 70_000;
/**
 * A worker that goes on asks for jobs again within a second of its last one. One that has not by then is about to end, and
 * runpod 1.10 and later wait for their open job-stop before they do.
 */
export const STOP_LET_GO_AFTER_MS = 2_500;
/**
 * An address with too many failed calls is refused for so long before its next one is counted again. The number of failures and
 * their time stand in wrangler.toml, for the platform counts them.
 */
export const FAILED_CALLER_HOLD_MS = 10_000;
/** From such an address an unknown key is looked up so often: one office of valid and invalid workers has one address. */
export const FAILED_CALLER_ASKS_EVERY_MS = 1_000;
/** Such addresses in one isolate: more are an attack by many, each of which is counted anew. */
export const FAILED_CALLERS_MAX = 10_000;
/** That there is no such key is believed for so long: nobody can have a key before it is written, so none is refused by this. */
export const KEY_MISSING_MS = 600_000;
/** RunPod's workers ask again at once after any refusal but 429, and older ones after that too. */
export const REFUSAL_HOLD_MS = 5_000;
/** runpod 1.7.4 says that it is idle before it notes a job just handed to it: believed of jobs of this age. */
export const IDLE_GRACE_MS = 1_000;
/** Lost deliveries of a job that count for nothing. A job that kills its worker before a word is told must end, too. */
export const UNDELIVERED_MAX = 3;
/**
 * Workers that failed their start while they held the job, which costs it nothing. Where every worker fails, its client must
 * be told the hook's error before long: with the pauses between the starts of one worker that is within a minute.
 */
export const START_FAILURES_MAX = 3;
/**
 * From a result that asks for the worker's restart until its open polls are answered. A process that ends by itself does so
 * when it has read the answer to that result: a poll that is answered before would be followed by another one. With 250 ms a
 * process on a busy machine once took the next job all the same.
 */
export const RESTART_SETTLE_MS = 500;
/** Longer than any worker that goes on leaves between two polls: a held refusal and then the SDK's own pause are 10 s. */
export const WORKER_QUIET_AFTER_MS = 15_000;
/** Remembered workers of one job: the rows stay small, and nobody reports so late. */
export const FORMER_WORKERS_MAX = 32;
/** The history of a job stands in its row, and rows of 4.7 KB already limit an endpoint: so many attempts, */
export const ATTEMPTS_KEPT_MAX = 8;
/** and so many bytes of them together. */
export const ATTEMPTS_KEPT_MAX_BYTES = 2_048;
/** Jobs that one list of workers looks up to name them; all are counted. */
export const WORKER_JOBS_NAMED_MAX = 1_000;
/** Pulling workers in one endpoint's memory. */
export const WORKERS_MAX = 1_000;
/** Open polls of one worker: runpod 1.6 asks once for each further job that it could run, while it runs one. */
export const WORKER_POLLS_MAX = 64;
/** A worker without a job that was not heard of for two held polls is gone. */
export const WORKER_GONE_AFTER_MS = 60_000;
/** One that is unhealthy stays in view so long, with the reason. */
export const WORKER_SICK_SHOWN_MS = 600_000;
/** Jobs that a worker loses in a row before it is tried with one job at a time: a crash loop must not eat the queue. */
export const LOST_IN_A_ROW_MAX = 3;
/** RunPod's limit of one chunk; a row of SQLite ends at 2 MB. */
export const CHUNK_MAX_BYTES = 1024 * 1024;
/** Chunks of a pushed stream gather for so long, or until they are so many bytes: each batch is a row, which costs. */
export const GATHER_MS = 20;
export const GATHER_BYTES = 16 * 1024;
/** Chunks that one read brings, about: two of the largest fit into what the edge holds. */
export const STREAM_PAGE_MAX_BYTES = 1024 * 1024;
/** What a chunk of a page costs beside its bytes, in memory and on its way: a million tiny ones would be no small page. */
export const STREAM_PAGE_CHUNK_BYTES = 64;
/** A held /stream without `wait`: RunPod's Python client gives up at 10 s. */
export const STREAM_HOLD_MS = 8_000;
/** Between two events, or comments, of an event stream: proxies cut a silent one after 60 s or more. */
export const STREAM_COMMENT_EVERY_MS = 15_000;
/** Progress of a running job is kept in memory, one for each: what is larger is not shown. */
export const PROGRESS_MAX_BYTES = 64 * 1024;
/** All of them together, beside the index of jobs in the 128 MB of an object. */
export const PROGRESS_TOTAL_MAX_BYTES = 8 * 1024 * 1024;
/** RunPod gives a job two attempts. */
export const ATTEMPTS_DEFAULT_MAX = 2;
/** Leases lost because broker or Carrier restarted have a bound of their own: a poison job must end. */
export const RESTARTS_MAX = 10;
/** First pause before a counted attempt is tried again; doubled each time, with jitter. */
export const BACKOFF_BASE_MS = 1_000;
export const BACKOFF_MAX_MS = 60_000;

/** First pause of an upstream that could not take a job; doubled up to the maximum while it stays so. */
export const UPSTREAM_PAUSE_BASE_MS = 1_000;
export const UPSTREAM_PAUSE_MAX_MS = 30_000;
/** `Retry-After` of an upstream is believed between these. */
export const RETRY_AFTER_MIN_MS = 1_000;
export const RETRY_AFTER_MAX_MS = 600_000;
/** A probe that confirms or clears a suspicion holds a slot: a server that does not answer a question without a job is not asked longer. */
export const SUSPICION_PROBE_TIMEOUT_MS = 5_000;
/**
 * A suspicion that a probe has cleared is not probed again for so long, or a flood of such jobs would be as many probes. Short:
 * should the upstream's credential end in this time, the jobs of this time fail.
 */
export const SUSPICION_CLEARED_MS = 2_000;
/** Path and query of a request to an OpenAI server: what the guard allows a whole address. */
export const OPENAI_TARGET_MAX_CHARS = 2_048;
/** Of an OpenAI request's body: a boundary of multipart has at most 70. */
export const OPENAI_CONTENT_TYPE_MAX_CHARS = 256;
/** Upstreams of which one isolate keeps such facts. */
export const UPSTREAM_FACTS_MAX = 1_000;
/** How long an upstream that was found to be `handler.py --rp_serve_api` is taken for one without asking. */
export const LOCAL_SERVER_KNOWN_MS = 10 * 60_000;
/** An unhealthy upstream (its status was confirmed by a probe) is tried with one job after this. */
export const UNHEALTHY_PROBE_MS = 15_000;

/** An object that nothing keeps busy is evicted after 10 s: what lasts longer is written to outlive it. */
export const TROUBLE_KEPT_FROM_MS = 10_000;

/** The alarm is rounded up to this: each setAlarm is a billed row. */
export const ALARM_STEP_MS = 500;
/** An alarm that did not come by then is set again: the platform promises one, but a late one stops every deadline. */
export const ALARM_LOST_AFTER_MS = 5_000;
/**
 * Brokers that one round of the cron tells of new settings. Each is a subrequest, of which an invocation has 1,000; so is each
 * statement of D1, five for a page.
 */
export const REPAIR_ENDPOINTS_MAX = 800;
/** So many at once: their settings are held together. */
export const REPAIR_PAGE_ENDPOINTS = 50;
/** A broker that hangs holds up its page so long: a round of such pages alone still ends before the next one begins. */
export const REPAIR_CALL_MAX_MS = 10_000;
/** Rows one alarm may handle before it arms itself again, so that it never holds the object for long. */
export const ALARM_ROWS_MAX = 1_000;
/** Rows that one turn of an alarm handles: each takes 0.1 to 0.2 ms, and a turn must not hold up the next call for long. */
export const TURN_ROWS_MAX = 100;
/** A wake-up that brought no start is sent again after this. */
export const WAKE_RESEND_MS = 5_000;
/** An account or D1 that has not answered by then is tried again: what it did all the same counts once, by its key. */
export const POST_TIMEOUT_MS = 15_000;
/** Finished jobs gather this long before they are posted; a line must be readable within 5 s of the finish. */
export const POST_DELAY_MS = 1_000;
/** Lines in one posted batch. */
export const POST_LINES_MAX = 500;
/** Tenants whose lines are posted side by side: full batches of all of them are 10 MB, which leave the object at once. */
export const POST_TENANTS_MAX = 50;
/** Lines owed while accounts do not answer: 16 MB of memory. Load-balanced requests are refused beyond it. */
export const OWED_LINES_MAX = 500_000;
/** Parked usage lines in one answer: there should be none, and a person reads them. */
export const PARKED_LISTED_MAX = 1_000;
/** Jobs started by one wake-up. */
export const START_JOBS_MAX = 50;
/**
 * What leaves an object in one turn, until the event loop runs again: all of it is copied before the first byte is on its way,
 * and a deployed object has 128 MB for everything.
 */
export const TURN_BYTES_MAX = 16_000_000;
/** Each takes up to 0.1 ms to put together: a turn must not hold up the next call for long. */
export const TURN_SENDS_MAX = 250;

/** Jobs that wait or run in one endpoint: the memory index must fit beside its peers in 128 MB. */
export const LIVE_JOBS_MAX = 200_000;
/** The same in bytes, because receivers of webhooks and owed lines differ: half of the object's memory. */
export const LIVE_INDEX_MAX_BYTES = 64 * 1024 * 1024;
/**
 * Tenants without a job whose GPU time is remembered, so that leaving for a moment buys no turn. Beyond it the one that was
 * served least is forgotten: it is the one that gains least.
 */
export const FAIR_KEPT_MAX = 1_000;
/** Rows of jobs in one endpoint, and the size of its database: the platform ends at 10 GB, and a finish must still fit. */
export const ENDPOINT_ROWS_MAX = 1_000_000;
export const ENDPOINT_MAX_BYTES = 8_000_000_000;
/**
 * Percent of those rows and bytes that one tenant may keep in a shared endpoint, unless the endpoint says otherwise: three others
 * find as much room when one is at its share, and one that uses it honestly is stopped by its waiting jobs long before.
 */
export const TENANT_SHARE_DEFAULT_PERCENT = 25;
/** Streams of jobs that run by then may grow a little further: a hundred full ones would take the room of every finish. */
export const ENDPOINT_STREAMS_MAX_BYTES = 9_000_000_000;
/**
 * Settled rows that a start of the object may read in vain; a quarter of the live ones may come on top. Each checkpoint that keeps
 * it so is some three rows, so fewer would be felt in the price of a job.
 */
export const START_SETTLED_ROWS_MAX = 200;
/** Half of so many newest rows stay above the floor of a checkpoint: a submit that others have overtaken costs two rows below it. */
export const FLOOR_RECENT_ROWS = 96;
/** Settled rows that a start holds before it sums them up: an object of an older release may have a million. */
export const SETTLED_IN_START = 10_000;
/** Numbers of lines that one row reserves: a start of the object leaves a gap of so many at most. */
export const FINISH_SEQS_RESERVED = 1_000;
/** Uuids in one row of the list below the floor: 370 KB, where a row of SQLite ends at 2 MB. */
export const LISTED_PAGE_UUIDS = 10_000;
/** Of the newest jobs of an endpoint, those that a list of one tenant's looks through. */
export const LIST_ROWS_READ_MAX = 10_000;
/** Jobs in one answer of /requests. */
export const JOBS_LISTED_MAX = 100;
/** R2 deletes at most so many objects by one call. */
export const R2_DELETE_KEYS_MAX = 1_000;
/** Waiting jobs of one tenant in one endpoint, unless its row says otherwise. */
export const TENANT_WAITING_DEFAULT_MAX = 10_000;
/** A remembered Idempotency-Key, as the draft standard's common practice. */
export const IDEMPOTENCY_MS = 86_400_000;
export const IDEMPOTENCY_KEY_MAX_CHARS = 255;
/** Keys of one tenant that an endpoint remembers, 12 a second over a day: about 250 MB of its 8 GB. */
export const IDEMPOTENCY_KEYS_TENANT_MAX = 1_000_000;
export const KEYS_RETRY_AFTER_SECONDS = 60;
/** Keys are counted ahead by so many at each start of the object: a row for each hundred keys, and none for most jobs. */
export const KEYS_COUNTED_AHEAD = 100;
/** Keys that one alarm walks: about 10 ms of the object's turn, and 500 alarms for a tenant that has as many as it may. */
export const KEYS_WALKED_AT_ONCE = 2_000;

/** Waits before each try of a webhook (Standard Webhooks). */
export const WEBHOOK_SCHEDULE_MS = [
  0, 5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000,
] as const;
export const WEBHOOK_TIMEOUT_MS = 15_000;
/** Calls in flight of one tenant to one receiver host: a hanging receiver holds up nobody else's. */
export const WEBHOOK_HOST_IN_FLIGHT_MAX = 6;
/** Webhook senders of one endpoint under way, each a held call of about 100 KB, */
export const WEBHOOKS_IN_FLIGHT_MAX = 256;
/** and the payloads that they hold: they may share the 128 MB of the broker's isolate. */
export const WEBHOOKS_IN_FLIGHT_MAX_BYTES = 16_000_000;
/** A webhook sender that has not reported by then is taken for lost; the receiver may get the same id twice. */
export const WEBHOOK_SEND_MAX_MS = 2 * WEBHOOK_TIMEOUT_MS;
/** A dead letter that D1 did not take is offered again after this. */
export const LETTER_RETRY_MS = 60_000;
/** Webhooks that one tenant's receivers may owe an endpoint: a dead receiver must not fill the endpoint for all. */
export const TENANT_WEBHOOKS_OWED_MAX = 20_000;
/** `input` and `output` together in a webhook body; beyond it the body says `truncated`. */
export const WEBHOOK_PAYLOAD_MAX_BYTES = 1024 * 1024;
export const DEAD_LETTER_MS = 30 * 86_400_000;
/** Dead letters of one tenant over all its endpoints: the oldest go first. About 5 MB of the 10 GB that all tenants share. */
export const DEAD_LETTERS_TENANT_MAX = 10_000;
/** Of them the newest are shown: what a person can look through. */
export const DEAD_LETTERS_LISTED_MAX = 1_000;
/** A walk over all rows at most this often; reads refuse an expired job by its own time meanwhile. */
export const SWEEP_EVERY_MS = 30_000;
/** Expired jobs that owe a line or a webhook for hours must not wake an idle object at each of those times. */
export const SWEEP_OWING_EVERY_MS = 3_600_000;
/** Remembered keys have no order by time, so dropping the old ones walks them all, a page an alarm; lookups refuse an old one meanwhile. */
export const IDEMPOTENCY_SWEEP_EVERY_MS = 3_600_000;
/** A job that waits for a slot of another upstream than the one where it failed is looked at again after this all the same. */
export const PARKED_MAX_MS = 30_000;
/** A job that must wait for one certain upstream is looked at again after this. */
export const HOLD_BACK_MS = 1_000;
/** A slot rarely frees sooner than this; RunPod's clients honour it. */
export const LIMIT_RETRY_AFTER_SECONDS = 5;
/** D1 is asked again after these, doubled: short enough that a line is there soon after an outage. */
export const D1_RETRY_BASE_MS = 1_000;
export const D1_RETRY_MAX_MS = 60_000;
/** Lines that wait for D1 in one account, some 20 million: the platform ends at 10 GB, and settling a batch must still fit. */
export const ACCOUNT_MAX_BYTES = 8_000_000_000;
/** If this object dies while it writes, the alarm goes on after this. */
export const ACCOUNT_SAFETY_MS = 5_000;
/** Without one answer to a poll for so long the worker is lost: its seconds are not billed. */
export const UPSTREAM_LOST_AFTER_MS = 120_000;
/** A hosted upstream's job is looked at this often at most; */
export const UPSTREAM_POLL_MAX_MS = 2_000;
/** and, once it has run for a minute, this often where the upstream was asked to call back. */
export const UPSTREAM_POLL_CALLED_BACK_MS = 10_000;
export const UPSTREAM_POLL_RELAXED_AFTER_MS = 60_000;
/** A carrier lives as long as one invocation, 15 minutes: before that another one takes over under the same lease. */
export const CARRIER_HOLDS_MS = 12 * 60_000;
