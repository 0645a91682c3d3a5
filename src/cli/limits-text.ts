// Makes docs/limits.md: every limit that a user can meet. Names, values and reasons are those of the limits files of core, so
// that the page cannot say anything else than the code does; only what each limit is of stands here.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as access from "../core/access/limits.ts";
import { CALLS_WINDOW_SECONDS, OPERATION_LIMITS, OPERATIONS, type Operation } from "../core/access/limits.ts";
import * as endpoint from "../core/endpoint/limits.ts";
import * as webhooks from "../core/job/webhook-limits.ts";
import * as core from "../core/limits.ts";
import * as manage from "../core/manage/limits.ts";
import * as openai from "../core/openai/limits.ts";
import * as schema from "../core/schema/limits.ts";

/** The limits files, by their paths. */
export const LIMIT_FILES: ReadonlyMap<string, Readonly<Record<string, unknown>>> = new Map<
  string,
  Readonly<Record<string, unknown>>
>([
  ["src/core/access/limits.ts", access],
  ["src/core/limits.ts", core],
  ["src/core/openai/limits.ts", openai],
  ["src/core/manage/limits.ts", manage],
  ["src/core/schema/limits.ts", schema],
  ["src/core/endpoint/limits.ts", endpoint],
  ["src/core/job/webhook-limits.ts", webhooks],
]);

interface Section {
  readonly title: string;
  readonly text: string;
  /** Name of the constant → what it is of. */
  readonly limits: Readonly<Record<string, string>>;
}

/** Sections of plain limits, in their order. */
const SECTIONS: readonly Section[] = [
  {
    title: "Sizes of a job",
    text: "Beyond them a request is refused with 413 or 400, and a result fails its job with a text that names the limit.",
    limits: {
      RUN_BODY_MAX_BYTES: "body of `/run`",
      RUNSYNC_BODY_MAX_BYTES: "body of `/runsync` and of OpenAI routes",
      RESULT_MAX_BYTES: "result of a job",
      ENVELOPE_FIELDS_MAX_BYTES: "all fields of a request beside `input`",
      JSON_DEPTH_MAX: "nesting of JSON",
      IDEMPOTENCY_KEY_MAX_CHARS: "an `Idempotency-Key`",
      CHUNK_MAX_BYTES: "one chunk of a stream",
      PROGRESS_MAX_BYTES: "progress that a handler reports",
      ERROR_TEXT_MAX_BYTES: "text of an error",
      WEBHOOK_PAYLOAD_MAX_BYTES: "`input` and `output` in the body of a webhook",
    },
  },
  {
    title: "Tokens for browsers",
    text: "A token that asks for more is refused with 400; one that has made its calls gets 403.",
    limits: {
      TOKEN_LIFE_MAX_SECONDS: "life of a token",
      TOKEN_LIFE_DEFAULT_SECONDS: "life of one that asks for none",
      TOKEN_CALLS_MAX: "submits of a token",
      TOKENS_TENANT_MAX: "tokens of a tenant that have submitted to an endpoint and have not ended",
      ORIGINS_MAX: "origins whose pages may call an endpoint",
      ORIGIN_CHARS_MAX: "an origin",
      PREFLIGHT_KEPT_SECONDS: "how long a browser goes by an earlier preflight",
    },
  },
  {
    title: "Input schemas",
    text: "A schema beyond them is refused when it is saved, an input when it is sent.",
    limits: {
      SCHEMA_MAX_BYTES: "a schema",
      SCHEMA_DEPTH_MAX: "nesting of a schema",
      SUBSCHEMAS_MAX: "schemas within a schema",
      SCHEMAS_OF_VALUE_MAX: "schemas that one value is checked by",
      PATTERN_MAX_CHARS: "a pattern",
      PATTERN_STATES_MAX: "states of a pattern",
      PATTERN_CLASSES_MAX: "different characters and classes of all patterns",
      PATTERN_PROPERTIES_MAX: "properties of characters in all patterns",
      PATTERN_DEPTH_MAX: "nesting of a pattern",
      CHECKED_INPUT_MAX_BYTES: "`input` where there is a schema",
      CHECK_WORK_MAX: "steps of one check",
      PROBLEMS_MAX: "problems that are told at once",
    },
  },
  {
    title: "Times of a job",
    text: "A time outside of its bounds is refused with 400.",
    limits: {
      EXECUTION_TIMEOUT_MIN_MS: "least `policy.executionTimeout`",
      EXECUTION_TIMEOUT_DEFAULT_MS: "execution timeout without one",
      TTL_MIN_MS: "least `policy.ttl`",
      TTL_DEFAULT_MS: "ttl without one",
      POLICY_MAX_MS: "most of both",
      HELD_CALL_MAX_MS: "execution timeout on an upstream of the dialects `http` and `openai`",
      WAIT_MIN_MS: "least `?wait=`",
      WAIT_DEFAULT_MS: "wait without one",
      WAIT_MAX_MS: "most `?wait=`",
      STREAM_HOLD_MS: "wait of `/stream` without one",
      RUN_RETENTION_DEFAULT_MS: "a result is kept after `/run`",
      RUNSYNC_RETENTION_DEFAULT_MS: "a result is kept after `/runsync`",
      RETENTION_MAX_MS: "longest retention that an endpoint may set",
      IDEMPOTENCY_MS: "an `Idempotency-Key` is remembered",
      ATTEMPTS_DEFAULT_MAX: "attempts of a job",
      ATTEMPTS_MAX: "most attempts that an endpoint may set",
      BACKOFF_BASE_MS: "pause before the second attempt",
      BACKOFF_MAX_MS: "longest pause between two attempts",
      RESTARTS_MAX: "attempts lost by restarts of Waybill's own, which are not counted",
      UNDELIVERED_MAX: "deliveries lost on the way to a pulling worker, which are not counted",
      START_FAILURES_MAX: "failed starts of workers, which are not counted",
      ATTEMPTS_KEPT_MAX: "attempts that the history of a job shows",
    },
  },
  {
    title: "Jobs of a tenant and of an endpoint",
    text:
      "Counted exactly, in the broker of the endpoint: the answer is 429 with `Retry-After`. `runningMax` of a tenant has no default: " +
      "where an operator sets it, jobs beyond it wait, and `queue` of their status has the reason `TENANT_LIMIT`. What is handed to a " +
      "worker or an upstream counts as running. A new `runningMax` holds in an endpoint from the tenant's next submit, status or retry on.",
    limits: {
      TENANT_WAITING_DEFAULT_MAX: "waiting jobs of a tenant in an endpoint (`waitingMax`)",
      LIVE_JOBS_MAX: "jobs that wait or run in an endpoint",
      ENDPOINT_ROWS_MAX: "jobs that an endpoint keeps, finished ones included",
      LIVE_INDEX_MAX_BYTES: "memory of the jobs that wait or run in an endpoint",
      ENDPOINT_MAX_BYTES: "bytes of jobs that an endpoint keeps, large payloads not counted",
      ENDPOINT_STREAMS_MAX_BYTES: "the same with the chunks of running streams",
      TENANT_SHARE_DEFAULT_PERCENT: "share of a tenant in a shared endpoint",
      IDEMPOTENCY_KEYS_TENANT_MAX: "`Idempotency-Key`s of a tenant in a day and an endpoint",
      TENANT_WEBHOOKS_OWED_MAX: "webhooks of a tenant that are not delivered",
      HELD_TENANT_MAX: "waits and stream readers of a tenant at an endpoint",
      HELD_ENDPOINT_MAX: "waits and stream readers of all tenants at an endpoint",
      OWED_LINES_MAX: "usage lines of an endpoint that are not posted",
      LIST_ROWS_READ_MAX: "newest jobs that `/requests` looks through",
      JOBS_LISTED_MAX: "jobs in one answer of `/requests` and in a page of a list",
    },
  },
  {
    title: "OpenAI routes",
    text: "A request beyond them is refused with 400 or 413; an answer of a server beyond them is 502 or 504.",
    limits: {
      OPENAI_QUEUE_MAX_MS: "wait for a worker",
      OPENAI_IDLE_MS: "silence of a server",
      OPENAI_ANSWER_MAX_BYTES: "an answer that must be read as a whole",
      OPENAI_TARGET_MAX_CHARS: "path and query",
      OPENAI_CONTENT_TYPE_MAX_CHARS: "`content-type` of a request",
      OPENAI_HEADER_MAX_CHARS: "a header that is passed on",
      OPENAI_TRACE_HEADER_MAX_CHARS: "a header of traces",
    },
  },
  {
    title: "Load-balanced endpoints",
    text: "Their requests are neither counted by key nor against `runningMax`: slots and the line are their bound, shared fairly among tenants.",
    limits: {
      LB_BODY_DEFAULT_MAX_BYTES: "body, each way",
      LB_BODY_MAX_BYTES: "most that an endpoint may set for it",
      LB_WAIT_MAX_MS: "wait for a worker",
      LB_CALL_MAX_MS: "the call itself",
      LB_WAITING_MAX: "requests that wait in an endpoint",
      LB_TRIES_MAX: "workers that a request is tried on",
      LB_SOCKET_IDLE_MS: "silence of a WebSocket",
      LB_SOCKET_UNREAD_MAX_BYTES: "unread bytes of a WebSocket",
      ANSWER_HEADERS_MAX_BYTES: "headers of a worker's answer",
    },
  },
  {
    title: "Workers and upstreams",
    text: "Routes of workers have no limit of calls. What is beyond a number here gets 429.",
    limits: {
      WORKERS_MAX: "pulling workers of an endpoint",
      WORKER_POLLS_MAX: "open polls of a worker",
      WORKER_POLLS_TOTAL_MAX: "open polls of an endpoint",
      LOST_IN_A_ROW_MAX: "jobs that a worker loses before it is tried with one at a time",
      WORKER_LEASE_MS: "a pulled job without a heartbeat is lost",
      LEASE_MS: "a pushed job whose carrier is silent is lost",
      UPSTREAM_LOST_AFTER_MS: "a hosted upstream that answers no poll is lost",
      SLOTS_MAX: "slots of an upstream or a worker",
      SETTINGS_CHARS_MAX: "upstreams and worker keys of an endpoint together",
      UPSTREAM_PAUSE_MAX_MS: "longest pause of an upstream that takes nothing",
      RETRY_AFTER_MAX_MS: "longest `Retry-After` of an upstream that is believed",
    },
  },
  {
    title: "Webhooks",
    text: "A webhook that no try has delivered is a dead letter, which can be sent again.",
    limits: {
      WEBHOOK_SCHEDULE_MS: "waits before its tries",
      WEBHOOK_TIMEOUT_MS: "a receiver's answer",
      WEBHOOK_HOST_IN_FLIGHT_MAX: "calls of a tenant to one host at once",
      DEAD_LETTER_MS: "a dead letter is kept",
      DEAD_LETTERS_TENANT_MAX: "dead letters of a tenant",
      DELIVERIES_TENANT_MAX: "tries in the log of a tenant and an endpoint",
      DELIVERY_MS: "a try is kept in the log",
      DELIVERIES_LISTED_MAX: "tries in one answer",
      REDELIVERED_AT_ONCE_MAX: "dead letters that one call sends again",
    },
  },
  {
    title: "The management API",
    text: "Beside its quotas of calls, which stand above.",
    limits: {
      MANAGE_BODY_MAX_BYTES: "body of a call",
      VALUE_DEPTH_MAX: "nesting of a body",
      WRONG_FIELDS_MAX: "wrong fields that one answer names",
      PAGE_DEFAULT: "entries of a page without `limit`",
      PAGE_MAX: "most entries of a page of `/v1`",
      RUNPOD_PAGE_MAX: "most entries of a page of RunPod's routes",
      DEPTH_PAGE_DEFAULT: "endpoints of a page of `/v1/depth` without `limit`",
      PAGE_CHARS_MAX: "characters of a page",
      RELEASES_LISTED_MAX: "releases of an endpoint in one answer",
      PUBLIC_TEMPLATES_MAX: "public templates in one answer",
      BILL_LINES_MAX: "usage lines of a page",
      BILL_RECORDS_MAX: "records of a bill",
      KEY_EXPIRES_IN_MAX_SECONDS: "life of a key that expires",
      KEY_OVERLAP_DEFAULT_SECONDS: "a replaced key goes on without another wish",
      KEY_OVERLAP_MAX_SECONDS: "longest that a replaced key may go on",
      KEY_ENDPOINTS_MAX: "endpoints that a key is restricted to",
      SECRET_OVERLAP_DEFAULT_SECONDS: "a replaced webhook secret signs on without another wish",
      SECRET_OVERLAP_MAX_SECONDS: "longest that a replaced webhook secret may sign on",
      PRICE_LEAD_MIN_MS: "least time before a new price",
      PRICE_LEAD_DEFAULT_MS: "time before a new price without another wish",
      NANODOLLARS_PER_SECOND_MAX: "highest price, in nano-dollars a second",
    },
  },
];

/** Names of the limits that the page shows. */
export function shownLimits(): string[] {
  return [...SECTIONS.flatMap(({ limits }) => Object.keys(limits)), ...SHOWN_APART];
}

/** Shown in tables and sentences of their own. */
const SHOWN_APART = [
  "OPERATIONS",
  "OPERATION_LIMITS",
  "CALLS_WINDOW_SECONDS",
  "CALLS_SET_MAX",
  "OPEN_RETRY_AFTER_SECONDS",
  "OPEN_COUNTED_MAX_MS",
  "MANAGE_WINDOWS",
  "FAILED_CALLER_HOLD_MS",
  "FAILED_CALLER_ASKS_EVERY_MS",
  "LIMIT_RETRY_AFTER_SECONDS",
];

/** The text of the page; `projectFolder`: where the sources are. */
export function limitsPage(projectFolder: string): string {
  const reasons = new Map([...LIMIT_FILES.keys()].flatMap((file) => [...readReasons(projectFolder, file)]));
  const reasonOf = (name: string): string => {
    const reason = reasons.get(name);
    if (reason === undefined) throw new Error(`no comment gives the reason of ${name}`);
    return reason;
  };
  const config = readFileSync(join(projectFolder, "wrangler.toml"), "utf8");
  const parts = [HEAD, callsText(reasonOf), managementText(reasonOf), addressText(config, reasonOf)];
  for (const { title, text, limits } of SECTIONS) {
    const rows = Object.entries(limits).map(
      ([name, of]) => `| ${of} | ${showValue(name, limitNamed(name))} | ${reasonOf(name)} | \`${name}\` |`,
    );
    parts.push(
      `## ${title}\n\n${text}\n\n| of | limit | reason | name |\n| --- | --- | --- | --- |\n${rows.join("\n")}`,
    );
  }
  return `${parts.join("\n\n")}\n`;
}

const HEAD = `# Limits

\`npm run limits\` writes this page out of the limits files of \`src/core\`; a test fails while it differs. Each limit has the reason that
stands beside it in the code. A call that a limit refuses gets 429 with \`Retry-After\`, unless its section says otherwise, in the form that
the clients of its route read.`;

const COUNTED: Readonly<Record<Operation, string>> = {
  run: "`/run`, `/retry`",
  runsync: "`/runsync`",
  status: "`/status`, `/status-sync`, `/stream`, `/health` together",
  openai: "all of `/openai/`",
  cancel: "`/cancel`",
  "purge-queue": "`/purge-queue`",
  requests: "`/requests`",
};

function callsText(reasonOf: (name: string) => string): string {
  const rows = OPERATIONS.map((operation) => {
    const { calls, open } = OPERATION_LIMITS[operation];
    return `| \`${operation}\` | ${COUNTED[operation]} | ${count(calls)} | ${open === null ? "no bound" : count(open)} |`;
  });
  return `## Calls of a key

Each key may make so many calls of an operation at one endpoint. **Each isolate of the edge counts for itself**: a deployment has several,
in each of Cloudflare's locations, so these numbers bound what one of them does, not what a key may do in all. What is exact is counted in
the broker, below. A refused call costs no call of the broker, and its body is not read. ${reasonOf("OPERATION_LIMITS")}

| operation | routes | calls in ${CALLS_WINDOW_SECONDS} s | open at once |
| --- | --- | --- | --- |
${rows.join("\n")}

RunPod names no figure for \`/retry\` and \`/health\`; here they count with what costs as much. Routes of workers and of load-balanced
endpoints are not counted. An operator changes the limits of a tenant with \`npm run admin -- tenant set --tenant ID --call-limits run=5000/none\`,
or \`PATCH /v1/tenants/{id}\` and \`{"limits": {"run": {"calls": 5000, "open": null}}}\`, up to ${count(access.CALLS_SET_MAX)}; within 30 s all isolates go by
them. \`GET /v1/me\` shows each key those of its tenant.

- Windows of ${CALLS_WINDOW_SECONDS} s. ${reasonOf("CALLS_WINDOW_SECONDS")}
- Every answer has \`RateLimit-Policy\` and \`RateLimit\` (draft-ietf-httpapi-ratelimit-headers-11), such as \`"run";q=1000;w=10\` and
  \`"run";r=999;t=7\`; the item \`"run-open"\` is the bound of open calls.
- ${access.OPEN_RETRY_AFTER_SECONDS} s: ${reasonOf("OPEN_RETRY_AFTER_SECONDS")}
- ${duration(access.OPEN_COUNTED_MAX_MS)}: ${reasonOf("OPEN_COUNTED_MAX_MS")}
- ${core.LIMIT_RETRY_AFTER_SECONDS} s, for limits of the broker: ${reasonOf("LIMIT_RETRY_AFTER_SECONDS")}`;
}

function managementText(reasonOf: (name: string) => string): string {
  const windows = manage.MANAGE_WINDOWS.map(({ quota, seconds }) => `${count(quota)} in ${duration(seconds * 1_000)}`);
  return `## Calls of the management API

${windows.join(", ")}, by key, counted in each isolate apart. ${reasonOf("MANAGE_WINDOWS")}`;
}

function addressText(config: string, reasonOf: (name: string) => string): string {
  const [, limit, period] = /AUTH_FAILURES"[\s\S]*?limit = (\d+), period = (\d+)/.exec(config) ?? [];
  if (limit === undefined || period === undefined) throw new Error("wrangler.toml has no limit of failures");
  return `## Calls without a valid key

${limit} in ${period} s from one address (of IPv6: one network of 64 bits), counted by the platform in each of its locations.

- ${duration(core.FAILED_CALLER_HOLD_MS)}: ${reasonOf("FAILED_CALLER_HOLD_MS")}
- ${duration(core.FAILED_CALLER_ASKS_EVERY_MS)}: ${reasonOf("FAILED_CALLER_ASKS_EVERY_MS")}`;
}

/** The comment before each constant; constants that follow each other under one comment share it. */
function readReasons(projectFolder: string, file: string): Map<string, string> {
  const reasons = new Map<string, string>();
  let shared = "";
  const text = readFileSync(join(projectFolder, file), "utf8");
  for (const [, comment, name = ""] of text.matchAll(/(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n)?export const (\w+)/g)) {
    shared = comment?.replace(/\s*\n\s*\*\s?/g, " ").trim() ?? shared;
    reasons.set(name, shared.replaceAll("|", "\\|"));
  }
  return reasons;
}

function limitNamed(name: string): unknown {
  for (const file of LIMIT_FILES.values()) if (name in file) return file[name];
  throw new Error(`no limits file has ${name}`);
}

function showValue(name: string, value: unknown): string {
  if (Array.isArray(value)) return value.map((each) => duration(Number(each))).join(", ");
  if (typeof value !== "number") throw new Error(`${name} is no number`);
  if (name.endsWith("_BYTES")) return bytes(value);
  if (name.endsWith("_MS")) return duration(value);
  if (name.endsWith("_SECONDS")) return duration(value * 1_000);
  if (name.endsWith("_CHARS")) return `${count(value)} characters`;
  return name.endsWith("_PERCENT") ? `${value} %` : count(value);
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

function bytes(value: number): string {
  const units = [
    ["GB", 1_000_000_000],
    ["MiB", 1024 * 1024],
    ["KiB", 1024],
  ] as const;
  const fit = units.find(([, size]) => value >= size && value % size === 0);
  return fit === undefined ? `${count(value)} bytes` : `${count(value / fit[1])} ${fit[0]}`;
}

/** In the largest unit that gives a whole number. */
function duration(ms: number): string {
  const units = [
    ["days", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
    ["s", 1_000],
  ] as const;
  const fit = units.find(([, size]) => ms >= size && ms % size === 0);
  if (fit === undefined) return ms === 0 ? "0 s" : `${count(ms)} ms`;
  const many = ms / fit[1];
  return `${count(many)} ${fit[0] === "days" && many === 1 ? "day" : fit[0]}`;
}
