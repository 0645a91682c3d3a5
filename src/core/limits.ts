// The limits of Waybill with the reason for each number; those of the OpenAI routes stand in core/openai/limits.ts, of
// the webhooks' log in core/job/webhook-limits.ts, RunPod's in docs/wire.md. Units last. The test asserts relations.

/** RunPod's documented limit of a `/run` body. */
export const RUN_BODY_MAX_BYTES = 10 * 1024 * 1024;
/** RunPod's documented limit of a `/runsync` body. */
export const RUNSYNC_BODY_MAX_BYTES = 20 * 1024 * 1024;
/** Cloudflare refuses a posted body at 100 MB; a result may travel through another Waybill, so it stays below. */
export const RESULT_MAX_BYTES = 95 * 1024 * 1024;
/** The first bytes of an output show whether it is OpenAI's: those bodies name their kind before anything large. */
export const OUTPUT_USAGE_HEAD_BYTES = 2 * 1024;
/** Little follows the usage at the end of a body: a system fingerprint, timings, settings of a response. */
export const OUTPUT_USAGE_TAIL_BYTES = 16 * 1024;
/** A payload of up to this size is stored in the job's own row, so that no extra row is billed. */
export const PAYLOAD_INLINE_MAX_BYTES = 16 * 1024;
/** A larger payload is stored in a row of its own up to this size; beyond it R2 is cheaper than SQLite. */
export const PAYLOAD_ROW_MAX_BYTES = 256 * 1024;
/** R2 wants upload parts of at least 5 MiB, all of one size; the smallest parts take the least memory. */
export const R2_PART_BYTES = 5 * 1024 * 1024;
/** All fields of a request beside `input`, together: they are held in memory and stored in the job's row. */
export const ENVELOPE_FIELDS_MAX_BYTES = 64 * 1024;
/** Deeper JSON than this is refused: common parsers of workers stop near 1,000. */
export const JSON_DEPTH_MAX = 512;
/** The text of an error: a traceback with its log lines fits, and the failed jobs of an endpoint still fit its rows. */
export const ERROR_TEXT_MAX_BYTES = 32 * 1024;
/** A reported or answered error is read up to this length, then shortened: one with its logs has 74,000 characters. */
export const ERROR_FIELD_KEPT_CHARS = 128 * 1024;

/** A shorter secret is not looked for in an upstream's answers: it would be found in words that are not secret. */
export const SECRET_MIN_CHARS = 8;

/** RunPod's limit of a body through a load-balanced endpoint, each way, and the most that an endpoint may set: Cloudflare's. */
export const LB_BODY_DEFAULT_MAX_BYTES = 30 * 1024 * 1024;
export const LB_BODY_MAX_BYTES = 100 * 1024 * 1024;

/** RunPod's limits of a load-balanced request: waiting for a worker, and the call itself. */
export const LB_WAIT_MAX_MS = 120_000;
export const LB_CALL_MAX_MS = 330_000;
/** Wait for another worker once one has answered with an error: that error now is worth more than a late answer. */
export const LB_NEXT_WAIT_MAX_MS = 5_000;
/** A WebSocket through a load-balanced endpoint ends when no message has come for as long as a request may take. */
export const LB_SOCKET_IDLE_MS = LB_CALL_MAX_MS;
/** Bytes that a WebSocket's side may leave unread: the largest message, 32 MiB, and some; isolates have 128 MB. */
export const LB_SOCKET_UNREAD_MAX_BYTES = 40 * 1024 * 1024;
/** Assumed reading speed of a WebSocket's side that sends messages: 16 Mbit/s, as much as a video in 4K. */
export const LB_SOCKET_READ_BYTES_PER_SECOND = 2 * 1024 * 1024;
/** After a WebSocket's end its client has this long to read the rest; then it is cut off to free the memory. */
export const LB_SOCKET_REST_MS = 30_000;
/** The edge renews a running request's slot in this interval; without a renewal it ends: two may be lost. */
export const LB_RENEW_MS = 10_000;
export const LB_GIVEN_UP_AFTER_MS = 30_000;
/** A restarted broker learns of all running requests by their next renewals; two seconds are for the calls. */
export const LB_RECALL_MS = LB_RENEW_MS + 2_000;
/** Requests that wait in one endpoint, shared fairly among its tenants: each is a held call of about 100 KB at the edge. */
export const LB_WAITING_MAX = 1_000;
/** Waits and stream readers of a tenant that a broker holds: what a large client has, each 100 KB at the edge. */
export const HELD_TENANT_MAX = 1_000;
/** The same for all tenants of an endpoint: 40 MB of its object. Beyond it each tenant may hold an equal share. */
export const HELD_ENDPOINT_MAX = 4_000;
/** A call that may not be held is made again after this: its answer comes a little late, and the broker is spared. */
export const UNHELD_PAUSE_MS = 2_000;
/** Open job-takes of all workers of an endpoint. Beyond it each worker may have one, and further ones are refused. */
export const WORKER_POLLS_TOTAL_MAX = 4_000;
/** Held job-stops of an endpoint: one for each worker, and as many again whose clients have gone. */
export const STOPS_HELD_MAX = 2_000;
/** A request that waits asks in slices; between two slices it keeps its place in line for this long. */
export const LB_PLACE_KEPT_MS = 5_000;
/** The health of a worker that a probe or request has shown is believed for three intervals between probes. */
export const LB_HEALTH_FRESH_MS = 30_000;
/** A worker is probed this often while requests come; */
export const LB_PROBE_EVERY_MS = 10_000;
/** a worker that is not ready is probed more often, while requests wait for it. */
export const LB_PROBE_WAITED_MS = 2_000;
/**
 * A worker whose machine starts is asked again after an eighth of the time for which it has been starting, so that its readiness is
 * noticed late by an eighth at most; this is the least, and LB_PROBE_WAITED_MS the most.
 */
export const LB_PROBE_STARTING_MS = 250;
/** A machine whose worker is not ready for this long, though it was, is ended: a restart of its program is done by then. */
export const LB_SICK_AFTER_MS = 60_000;
/** Workers are no longer probed once the last request is this long ago, so that an idle endpoint costs nothing. */
export const LB_PROBE_UNTIL_MS = 60_000;
/** Longer than any sound worker takes to answer `/ping`. */
export const LB_PING_TIMEOUT_MS = 5_000;
/** Workers that one request is tried on, while nothing of an answer has reached the client. */
export const LB_TRIES_MAX = 3;
/** Cloudflare's limit of all headers of an answer is 128 KB; our own headers must fit beside a worker's. */
export const ANSWER_HEADERS_MAX_BYTES = 64 * 1024;
/**
 * A worker's answer is held back for this long, or until LB_PIPE_BYTES of it are there: if it breaks off by then, the
 * client gets a clear 502, or another worker is tried. A longer delay would be felt in a streamed answer.
 */
export const LB_HOLD_MS = 50;
/** Bytes that the edge holds of one request in one direction, whatever the size of the body. */
export const LB_PIPE_BYTES = 64 * 1024;
/** The same for uploads of known length: a quarter of the garbage; workerd peaks at 8, not 13 MiB, for 64 each way. */
export const LB_FILL_BYTES = 256 * 1024;

/**
 * When the answer is complete before the request's body, the rest of the body is read for this long. A longer time
 * would be felt where both sides send at once and the worker is the first to end.
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
/** One wait of the edge on a broker: short, so that the edge soon asks anew when the broker has been replaced. */
export const WAIT_SLICE_MAX_MS = 25_000;

/** The status line of a /runsync goes out after so long: a quicker job is answered in one piece, which costs less. */
export const SYNC_HEAD_AFTER_MS = 250;
/** Interval of white space in the answer to a waiting /runsync: proxies cut a silent connection after 60 s or more. */
export const SYNC_SPACE_EVERY_MS = 15_000;

/** RunPod keeps a result 30 minutes after `/run`, one minute after `/runsync`; an endpoint may set other times. */
export const RUN_RETENTION_DEFAULT_MS = 30 * 60_000;
export const RUNSYNC_RETENTION_DEFAULT_MS = 60_000;

/** A lease that is not renewed ends after this; it has time for three renewals, so two may be lost. */
export const LEASE_MS = 30_000;
export const LEASE_RENEW_MS = 10_000;
/**
 * A carrier makes its first renewal after this; the broker then holds the call until the lease is lost, so that a
 * cancel reaches the carrier at once. A job that is shorter than this costs no such call.
 */
export const LEASE_WATCH_AFTER_MS = 1_500;
/** RunPod's workers send a heartbeat in this interval unless their environment sets another one. */
export const WORKER_PING_INTERVAL_MS = 10_000;
/**
 * A pulled job that its worker names in no heartbeat for this long is lost: less than three intervals, so that a
 * worker's death is found within three, and more than two, so that one heartbeat may be lost.
 */
export const WORKER_LEASE_MS = 28_000;
/** A job-take is held this long. A worker's shutdown waits for its open poll; over 20 s makes 3 polls a minute. */
export const TAKE_HOLD_MAX_MS = 25_000;
/** Time that a job-stop is held: long enough for at most one a minute; the worker's client gives up at 90 s. */
export const STOP_HOLD_MS = 70_000;
/**
 * A worker that goes on asks for jobs again within a second of its last job. A worker that has not asked after this
 * time is about to end, and runpod 1.10 and later wait for their open job-stop before they end.
 */
export const STOP_LET_GO_AFTER_MS = 2_500;
/**
 * An address with too many failed calls is refused for this long before its next one is counted again. The number of
 * failures and their period stand in wrangler.toml, because the platform counts them.
 */
export const FAILED_CALLER_HOLD_MS = 10_000;
/** Interval at which an unknown key of such an address is looked up: valid workers may share the address. */
export const FAILED_CALLER_ASKS_EVERY_MS = 1_000;
/** Such addresses that one isolate remembers: more are an attack from many, and a forgotten one is counted anew. */
export const FAILED_CALLERS_MAX = 10_000;
/** An id without a key is remembered this long: nobody has a key before it is written, so no valid one is refused. */
export const KEY_MISSING_MS = 600_000;
/** Refusals are held back: RunPod's workers ask again at once after any but 429, and older ones after 429 too. */
export const REFUSAL_HOLD_MS = 5_000;
/** runpod 1.7.4 reports itself idle before it notes a job just given to it: this is believed of older jobs only. */
export const IDLE_GRACE_MS = 1_000;
/** A job's lost deliveries that count as no failure; bounded, as a job may kill each worker before its first sign of life. */
export const UNDELIVERED_MAX = 3;
/**
 * Failed starts of workers that held the job which do not count as its failures. Where every worker fails, the client
 * must get the hook's error before long: with the pauses between the starts of one worker that is within a minute.
 */
export const START_FAILURES_MAX = 3;
/**
 * Time between a worker's call which tells that it leaves and the answers to its open polls, and to those that were sent
 * before that call and come after it. A process that asked for its restart ends when it has read the answer to its result: a
 * poll that is answered earlier would be followed by another one. With 250 ms a busy machine's process once took another job.
 */
export const LEAVE_SETTLE_MS = 500;
/** Longer than the pause between two polls of a worker that goes on: a held refusal and the SDK's pause are 10 s. */
export const WORKER_QUIET_AFTER_MS = 15_000;
/** Former workers that are remembered of one job: more would make its row large, and no older one still reports. */
export const FORMER_WORKERS_MAX = 32;
/** Attempts in the history of a job, which stands in its row: rows of 4.7 KB already limit an endpoint. */
export const ATTEMPTS_KEPT_MAX = 8;
/** The bytes of those attempts together. */
export const ATTEMPTS_KEPT_MAX_BYTES = 2_048;
/** Jobs that one list of workers looks up to show their ids; jobs beyond them are counted but not named. */
export const WORKER_JOBS_NAMED_MAX = 1_000;
/** Pulling workers in one endpoint's memory. */
export const WORKERS_MAX = 1_000;
/** Open polls of one worker: runpod 1.6 asks once for each further job that it could run, while it runs one. */
export const WORKER_POLLS_MAX = 64;
/** A worker without a job that has sent nothing for longer than two held polls is gone. */
export const WORKER_GONE_AFTER_MS = 60_000;
/** An unhealthy worker stays in the list of workers this long, with the reason. */
export const WORKER_SICK_SHOWN_MS = 600_000;
/** Jobs that a worker loses in a row before it is tried with one job at a time: a crash loop must not eat the queue. */
export const LOST_IN_A_ROW_MAX = 3;
/** RunPod's limit of one chunk, beyond which it is cut; a row of SQLite ends at 2 MB. */
export const CHUNK_MAX_BYTES = 1024 * 1024;
/** Of a streamed event so much is held and parsed; a larger one is read as it comes: parsed JSON may take ten times its bytes. */
export const EVENT_HELD_MAX_BYTES = 2 * CHUNK_MAX_BYTES;
/** Chunks of a pushed stream gather for this long, or up to this size, because each batch is a billed row. */
export const GATHER_MS = 20;
export const GATHER_BYTES = 16 * 1024;
/** Approximate bytes of chunks in one read: two of the largest chunks fit into the memory of the edge. */
export const STREAM_PAGE_MAX_BYTES = 1024 * 1024;
/** Counted for each chunk of a page beside its bytes, for memory and transport: a million tiny chunks add up. */
export const STREAM_PAGE_CHUNK_BYTES = 64;
/** Time that a /stream without `wait` is held: RunPod's Python client gives up at 10 s. */
export const STREAM_HOLD_MS = 8_000;
/** Longest silence in an event stream before a comment is sent: proxies cut a silent connection after 60 s or more. */
export const STREAM_COMMENT_EVERY_MS = 15_000;
/** The newest progress of each running job is kept in memory; a larger progress is not shown. */
export const PROGRESS_MAX_BYTES = 64 * 1024;
/** Progress of all jobs together: it shares the 128 MB of an object with the index of jobs. */
export const PROGRESS_TOTAL_MAX_BYTES = 8 * 1024 * 1024;
/** RunPod gives a job two attempts. */
export const ATTEMPTS_DEFAULT_MAX = 2;
/** Leases lost by restarts of broker or carrier are no failures of the job; bounded, so that a poison job ends. */
export const RESTARTS_MAX = 10;
/** First pause before a counted attempt is tried again; doubled each time, with jitter. */
export const BACKOFF_BASE_MS = 1_000;
export const BACKOFF_MAX_MS = 60_000;

/** First pause of an upstream that could not take a job; doubled up to the maximum while it stays so. */
export const UPSTREAM_PAUSE_BASE_MS = 1_000;
export const UPSTREAM_PAUSE_MAX_MS = 30_000;
/** `Retry-After` of an upstream is honoured within these bounds. */
export const RETRY_AFTER_MIN_MS = 1_000;
export const RETRY_AFTER_MAX_MS = 600_000;
/** A probe that confirms or clears a suspicion holds a slot, so it does not wait longer than this for the server. */
export const SUSPICION_PROBE_TIMEOUT_MS = 5_000;
/**
 * A suspicion that a probe has cleared is not probed again for this long; otherwise each job of a flood would cost a
 * probe. The time is short: if the upstream's credential ends within it, the jobs of this time fail.
 */
export const SUSPICION_CLEARED_MS = 2_000;
/** Upstreams whose facts (a cleared suspicion, a local server) one isolate remembers. */
export const UPSTREAM_FACTS_MAX = 1_000;
/** An upstream that was found to be `handler.py --rp_serve_api` is not probed for that again for this long. */
export const LOCAL_SERVER_KNOWN_MS = 10 * 60_000;
/** An unhealthy upstream (its status was confirmed by a probe) is tried with one job after this. */
export const UNHEALTHY_PROBE_MS = 15_000;

/** An idle object is evicted after 10 s: an upstream's trouble that lasts longer is written, to outlive it. */
export const TROUBLE_KEPT_FROM_MS = 10_000;

/** The alarm is rounded up to this: each setAlarm is a billed row. */
export const ALARM_STEP_MS = 500;
/** An alarm that is this late is set again: the platform promises it, but a late alarm holds up every deadline. */
export const ALARM_LOST_AFTER_MS = 5_000;
/**
 * Brokers to which one round of the cron sends new settings. Each is a subrequest, of which an invocation has 10,000; a page takes
 * five statements of D1, of which it has 1,000. A new price is announced 10 min ahead, in which two rounds begin: they bring it to
 * 10,000 endpoints, also where the call that announced it sent it to none.
 */
export const REPAIR_ENDPOINTS_MAX = 8_000;
/** Brokers of one page, called at once: their settings are held in memory together, mostly a few KB each. */
export const REPAIR_PAGE_ENDPOINTS = 200;
/** A hanging broker holds up its page this long: a round in which all pages hang still ends before the next begins. */
export const REPAIR_CALL_MAX_MS = 5_000;
/** A round begins no page later than this, so that it ends before the next one of 5 min, also where D1 is slow. */
export const REPAIR_ROUND_MAX_MS = 240_000;
/** Rows one alarm may handle before it arms itself again, so that it never holds the object for long. */
export const ALARM_ROWS_MAX = 1_000;
/** Rows that one turn of an alarm handles: each takes 0.1 to 0.2 ms, and a turn must not hold up the next call for long. */
export const TURN_ROWS_MAX = 100;
/** A wake-up that was followed by no start is sent again after this. */
export const WAKE_RESEND_MS = 5_000;
/** A write that an account or D1 does not answer by then is made again; by its key it counts once, if both succeed. */
export const POST_TIMEOUT_MS = 15_000;
/** Usage lines of finished jobs gather this long before they are posted; they must be readable 5 s after the finish. */
export const POST_DELAY_MS = 1_000;
/** Lines in one posted batch. */
export const POST_LINES_MAX = 500;
/** Tenants whose lines are posted at the same time: their full batches are 10 MB, which leave the object at once. */
export const POST_TENANTS_MAX = 50;
/** Lines owed while accounts do not answer: 16 MB of memory. Load-balanced requests are refused beyond it. */
export const OWED_LINES_MAX = 500_000;
/** Parked usage lines in one answer: there should be none, and a person reads them. */
export const PARKED_LISTED_MAX = 1_000;
/** Jobs started by one wake-up. */
export const START_JOBS_MAX = 50;
/** Bytes that an object sends in one turn: all are copied before the first one leaves, and it has 128 MB for everything. */
export const TURN_BYTES_MAX = 16_000_000;
/** Calls that an object sends in one turn: each takes up to 0.1 ms to make, and the next call must not wait long. */
export const TURN_SENDS_MAX = 250;

/** Jobs that wait or run in one endpoint: the memory index must fit beside its peers in 128 MB. */
export const LIVE_JOBS_MAX = 200_000;
/** The same in bytes, because webhook receivers and owed lines vary in number and size: half of the object's memory. */
export const LIVE_INDEX_MAX_BYTES = 64 * 1024 * 1024;
/**
 * Tenants without a job whose GPU time is remembered, so that a tenant gains no turn by having no job for a moment.
 * Beyond it the tenant that was served least is forgotten, because it gains the least by that.
 */
export const FAIR_KEPT_MAX = 1_000;
/** Rows of jobs in one endpoint, and the size of its database: the platform ends at 10 GB, and a finish must still fit. */
export const ENDPOINT_ROWS_MAX = 1_000_000;
export const ENDPOINT_MAX_BYTES = 8_000_000_000;
/**
 * Percent of those rows and bytes that one tenant may keep in a shared endpoint, unless the endpoint sets another
 * share: three others then find as much room, and an honest tenant meets its limit of waiting jobs long before.
 */
export const TENANT_SHARE_DEFAULT_PERCENT = 25;
/** Beyond ENDPOINT_MAX_BYTES running streams may grow up to this: a hundred full ones would leave finishes no room. */
export const ENDPOINT_STREAMS_MAX_BYTES = 9_000_000_000;
/**
 * Settled rows that a start of the object may read in vain, beside a quarter of the number of live rows. Each
 * checkpoint that keeps this bound writes some three rows, so a lower bound would be felt in the price of a job.
 */
export const START_SETTLED_ROWS_MAX = 200;
/** Half of so many newest rows stay above a checkpoint's floor: a submit that arrives late costs two rows below it. */
export const FLOOR_RECENT_ROWS = 96;
/**
 * The newest jobs, warm and cold ones each, and the newest starts of machines, created and resumed ones each, whose times an endpoint
 * keeps: five lie above a 99th percentile, so that it is not one job's bad luck, and all of them are 22 KB of one row.
 */
export const TIMES_KEPT = 500;
/** Settled rows that a start holds before it sums them up: an object of an older release may have a million rows. */
export const SETTLED_IN_START = 10_000;
/** Numbers of usage lines that one row reserves: a start of the object leaves a gap of at most so many. */
export const FINISH_SEQS_RESERVED = 1_000;
/** Uuids in one row of the list below the floor: 370 KB, where a row of SQLite ends at 2 MB. */
export const LISTED_PAGE_UUIDS = 10_000;
/** Newest jobs of an endpoint that are read to list the jobs of one tenant. */
export const LIST_ROWS_READ_MAX = 10_000;
/** Jobs in one answer of /requests, in one page of a list, and in one step of a change of many jobs. */
export const JOBS_LISTED_MAX = 100;
/** Rows that such a page or step looks at where few match: 20 turns of TURN_ROWS_MAX, about 100 ms. Its caller goes on. */
export const FILTER_ROWS_READ_MAX = 2_000;
/** R2 deletes at most so many objects by one call. */
export const R2_DELETE_KEYS_MAX = 1_000;
/** Waiting jobs of one tenant in one endpoint, unless the tenant's row sets another number. */
export const TENANT_WAITING_DEFAULT_MAX = 10_000;
/** An Idempotency-Key is remembered for a day, the common practice that the draft standard names. */
export const IDEMPOTENCY_MS = 86_400_000;
export const IDEMPOTENCY_KEY_MAX_CHARS = 255;
/** Keys of one tenant that an endpoint remembers, 12 a second over a day: about 250 MB of its 8 GB. */
export const IDEMPOTENCY_KEYS_TENANT_MAX = 1_000_000;
export const KEYS_RETRY_AFTER_SECONDS = 60;
/** The stored count of keys runs ahead by so many: one row is written for each hundred keys, and none for most jobs. */
export const KEYS_COUNTED_AHEAD = 100;
/** Keys that one alarm walks: about 10 ms of the object's turn, and 500 alarms for a tenant with the most keys. */
export const KEYS_WALKED_AT_ONCE = 2_000;

/** Waits before each try of a webhook (Standard Webhooks). */
export const WEBHOOK_SCHEDULE_MS = [
  0, 5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000,
] as const;
export const WEBHOOK_TIMEOUT_MS = 15_000;
/** Calls in flight of one tenant to one receiver host: a hanging receiver does not hold up webhooks to other hosts. */
export const WEBHOOK_HOST_IN_FLIGHT_MAX = 6;
/** Webhook senders of one endpoint under way, each a held call of about 100 KB, */
export const WEBHOOKS_IN_FLIGHT_MAX = 256;
/** and the bytes of payloads that they hold: senders may share the 128 MB of the broker's isolate. */
export const WEBHOOKS_IN_FLIGHT_MAX_BYTES = 16_000_000;
/** A webhook sender that has not reported after this is taken for lost; the receiver may get the same id twice. */
export const WEBHOOK_SEND_MAX_MS = 2 * WEBHOOK_TIMEOUT_MS;
/** A dead letter that D1 did not store is offered to it again after this. */
export const LETTER_RETRY_MS = 60_000;
/** Webhooks that one tenant's receivers may owe an endpoint: a dead receiver must not fill the endpoint for all. */
export const TENANT_WEBHOOKS_OWED_MAX = 20_000;
/** `input` and `output` together in a webhook body; beyond it the body has `truncated`. */
export const WEBHOOK_PAYLOAD_MAX_BYTES = 1024 * 1024;
export const DEAD_LETTER_MS = 30 * 86_400_000;
/** Dead letters of one tenant over all its endpoints: the oldest go first. About 5 MB of the 10 GB that all tenants share. */
export const DEAD_LETTERS_TENANT_MAX = 10_000;
/** The sweep walks over all rows at most this often; meanwhile reads refuse an expired job by its own time. */
export const SWEEP_EVERY_MS = 30_000;
/** Sweep interval for expired jobs that owe a line or webhook for hours: they must not keep waking an idle object. */
export const SWEEP_OWING_EVERY_MS = 3_600_000;
/** Remembered keys have no order by time: dropping old ones walks them all, a page an alarm; lookups ignore these. */
export const IDEMPOTENCY_SWEEP_EVERY_MS = 3_600_000;
/** A parked job waits for a slot of another upstream than the one where it failed; it is looked at again after this. */
export const PARKED_MAX_MS = 30_000;
/** A job that must wait for one certain upstream is looked at again after this. */
export const HOLD_BACK_MS = 1_000;
/** `Retry-After` of a call that a limit refuses: a slot rarely frees sooner, and RunPod's clients honour it. */
export const LIMIT_RETRY_AFTER_SECONDS = 5;
/** A failed write to D1 is tried again after this, doubled up to the maximum: lines are in D1 soon after an outage. */
export const D1_RETRY_BASE_MS = 1_000;
export const D1_RETRY_MAX_MS = 60_000;
/** Lines that wait for D1 in one account, some 20 million: the platform ends at 10 GB, and settling a batch must still fit. */
export const ACCOUNT_MAX_BYTES = 8_000_000_000;
/** If an account's object dies while it writes to D1, its alarm resumes the writing after this. */
export const ACCOUNT_SAFETY_MS = 5_000;
/** If an upstream answers no poll for this long, its worker is lost and the job's seconds are not billed. */
export const UPSTREAM_LOST_AFTER_MS = 120_000;
/** Shortest pause between two polls of a hosted upstream's job; */
export const UPSTREAM_POLL_MAX_MS = 2_000;
/** and, once it has run for a minute, this often where the upstream was asked to call back. */
export const UPSTREAM_POLL_CALLED_BACK_MS = 10_000;
export const UPSTREAM_POLL_RELAXED_AFTER_MS = 60_000;
/** A carrier lives as long as one invocation, 15 minutes: before that another one takes over under the same lease. */
export const CARRIER_HOLDS_MS = 12 * 60_000;
