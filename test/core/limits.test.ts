// The relations that must hold between limits: a change of one number that breaks another fails here.
import { describe, expect, it } from "vitest";
import * as access from "../../src/core/access/limits.ts";
import { SETTINGS_CHARS_MAX } from "../../src/core/endpoint/limits.ts";
import { INIT_DEFAULT_MS, LIFETIME_DEFAULT_MS } from "../../src/core/fleet/limits.ts";
import { DEAD_BODY_CALL_MAX_MS, DELIVERY_MS } from "../../src/core/job/webhook-limits.ts";
import * as limits from "../../src/core/limits.ts";
import { GPU_TYPES } from "../../src/core/manage/catalogue.ts";
import * as manage from "../../src/core/manage/limits.ts";

const RELATIONS: readonly (readonly [string, number, number])[] = [
  [
    "a checkpoint leaves fewer rows above its floor than ask for one",
    limits.FLOOR_RECENT_ROWS,
    limits.START_SETTLED_ROWS_MAX,
  ],
  ["a page of uuids stays below SQLite's 2 MB", limits.LISTED_PAGE_UUIDS * 37, 2_000_000],
  ["a token's default life is at most the most", access.TOKEN_LIFE_DEFAULT_SECONDS, access.TOKEN_LIFE_MAX_SECONDS],
  [
    "rows of ended tokens are few beside those of live ones",
    access.TOKENS_SWEEP_AFTER_MS,
    access.TOKEN_LIFE_DEFAULT_SECONDS * 1_000,
  ],
  ["an origin may have the longest name of DNS", "https://".length + 253 + ":65535".length, access.ORIGIN_CHARS_MAX],
  ["an answer to a preflight is good no longer than Safari keeps one", access.PREFLIGHT_KEPT_SECONDS, 600],
  ["a new price comes with two rounds of the cron", 2 * 5 * 60_000, manage.PRICE_LEAD_MIN_MS],
  ["a push ends before a client of the management API gives up", manage.PUSH_MAX_MS, 30_000],
  ["a result goes before the bucket's own rule takes its payload", manage.RETENTION_MAX_MS, 30 * 86_400_000],
  ["an inline payload fits a payload row", limits.PAYLOAD_INLINE_MAX_BYTES, limits.PAYLOAD_ROW_MAX_BYTES],
  ["a payload row stays below SQLite's 2 MB", limits.PAYLOAD_ROW_MAX_BYTES, 2_000_000],
  ["a /run body is no larger than a /runsync body", limits.RUN_BODY_MAX_BYTES, limits.RUNSYNC_BODY_MAX_BYTES],
  ["a /runsync body fits a result", limits.RUNSYNC_BODY_MAX_BYTES, limits.RESULT_MAX_BYTES],
  ["a result stays below Cloudflare's posted body", limits.RESULT_MAX_BYTES, 100_000_000],
  ["an R2 part has at least 5 MiB", 5 * 1024 * 1024, limits.R2_PART_BYTES],
  ["a result fits the 10,000 parts of R2", limits.RESULT_MAX_BYTES / limits.R2_PART_BYTES, 10_000],
  ["envelope fields fit a payload row", limits.ENVELOPE_FIELDS_MAX_BYTES, limits.PAYLOAD_ROW_MAX_BYTES],
  ["two renewals may be lost", limits.LEASE_RENEW_MS * 3, limits.LEASE_MS],
  ["two renewals of a load-balanced request may be lost", limits.LB_RENEW_MS * 3, limits.LB_GIVEN_UP_AFTER_MS],
  ["a broker that lost its memory waits for a renewal", limits.LB_RENEW_MS, limits.LB_RECALL_MS - 1],
  ["two probes of a busy endpoint's workers may be lost", limits.LB_PROBE_EVERY_MS * 3, limits.LB_HEALTH_FRESH_MS],
  ["a worker that answers in time is known by its next probe", limits.LB_PING_TIMEOUT_MS, limits.LB_PROBE_EVERY_MS],
  ["the default timeout is allowed", limits.EXECUTION_TIMEOUT_MIN_MS, limits.EXECUTION_TIMEOUT_DEFAULT_MS],
  ["the default timeout fits a held call", limits.EXECUTION_TIMEOUT_DEFAULT_MS, limits.HELD_CALL_MAX_MS],
  ["a held call fits an invocation", limits.HELD_CALL_MAX_MS, 15 * 60_000],
  ["the default ttl is at least the least", limits.TTL_MIN_MS, limits.TTL_DEFAULT_MS],
  ["the default ttl is at most the most", limits.TTL_DEFAULT_MS, limits.POLICY_MAX_MS],
  ["the default wait is at least the least", limits.WAIT_MIN_MS, limits.WAIT_DEFAULT_MS],
  ["the default wait is at most the most", limits.WAIT_DEFAULT_MS, limits.WAIT_MAX_MS],
  ["one slice of a wait ends before 30 s", limits.WAIT_SLICE_MAX_MS, 29_999],
  [
    "retention of /runsync is at most that of /run",
    limits.RUNSYNC_RETENTION_DEFAULT_MS,
    limits.RUN_RETENTION_DEFAULT_MS,
  ],
  ["the backoff's base is below its cap", limits.BACKOFF_BASE_MS, limits.BACKOFF_MAX_MS],
  ["the pause's base is below its cap", limits.UPSTREAM_PAUSE_BASE_MS, limits.UPSTREAM_PAUSE_MAX_MS],
  ["Retry-After's bounds stand in order", limits.RETRY_AFTER_MIN_MS, limits.RETRY_AFTER_MAX_MS],
  ["an alarm step is finer than the posting delay", limits.ALARM_STEP_MS, limits.POST_DELAY_MS],
  ["a line is posted within 5 s", limits.POST_DELAY_MS + limits.ALARM_STEP_MS, 5_000],
  ["one tenant cannot fill an endpoint", limits.TENANT_WAITING_DEFAULT_MAX, limits.LIVE_JOBS_MAX - 1],
  ["one tenant's webhooks cannot fill an endpoint", limits.TENANT_WEBHOOKS_OWED_MAX, limits.LIVE_JOBS_MAX - 1],
  [
    "the log still has a webhook's first try when it is given up",
    limits.WEBHOOK_SCHEDULE_MS.reduce<number>((sum, waitMs) => sum + waitMs * 1.25, 0),
    DELIVERY_MS,
  ],
  [
    "a dead letter is kept before its sender is taken for lost",
    2 * DEAD_BODY_CALL_MAX_MS + limits.POST_TIMEOUT_MS,
    limits.WEBHOOK_SEND_MAX_MS,
  ],
  ["a sender outlives its call", limits.WEBHOOK_TIMEOUT_MS, limits.WEBHOOK_SEND_MAX_MS - 1],
  ["a carrier watches its lease long before it ends", limits.LEASE_WATCH_AFTER_MS, limits.LEASE_RENEW_MS],
  ["a carrier hands over before its invocation ends", limits.CARRIER_HOLDS_MS + 120_000, 15 * 60_000],
  ["a lost upstream is known before its carrier hands over", limits.UPSTREAM_LOST_AFTER_MS, limits.CARRIER_HOLDS_MS],
  ["an endpoint's jobs that live fit its rows", limits.LIVE_JOBS_MAX, limits.ENDPOINT_ROWS_MAX],
  ["an endpoint stays below the platform's 10 GB", limits.ENDPOINT_MAX_BYTES, 10_000_000_000 - limits.RESULT_MAX_BYTES],
  [
    "a worker that is about to end is let go before its job-stop ends",
    limits.STOP_LET_GO_AFTER_MS,
    limits.STOP_HOLD_MS,
  ],
  [
    "a round of the cron fits the subrequests of an invocation: two statements, and five for each page",
    2 + limits.REPAIR_ENDPOINTS_MAX + 5 * Math.ceil(limits.REPAIR_ENDPOINTS_MAX / limits.REPAIR_PAGE_ENDPOINTS),
    10_000,
  ],
  [
    "a round of the cron fits the statements of D1 of an invocation",
    2 + 5 * Math.ceil(limits.REPAIR_ENDPOINTS_MAX / limits.REPAIR_PAGE_ENDPOINTS),
    1_000,
  ],
  ["the two rounds in the 10 min before a new price reach 10,000 endpoints", 10_000, 2 * limits.REPAIR_ENDPOINTS_MAX],
  [
    "a round ends before the next one, also where its last page hangs",
    limits.REPAIR_ROUND_MAX_MS + limits.REPAIR_CALL_MAX_MS,
    300_000,
  ],
  [
    "a round of the cron whose brokers all hang ends before the next one",
    limits.REPAIR_CALL_MAX_MS * Math.ceil(limits.REPAIR_ENDPOINTS_MAX / limits.REPAIR_PAGE_ENDPOINTS),
    300_000,
  ],
  [
    "a deleted provider is kept for a day longer than any of its machines lives",
    (manage.WORKER_LIFETIME_MAX_SECONDS + 86_400) * 1_000,
    manage.PROVIDER_KEPT_MS,
  ],
  ["the default time for a start is at least the least", manage.INIT_TIMEOUT_MIN_SECONDS * 1_000, INIT_DEFAULT_MS],
  ["the default time for a start is at most the most", INIT_DEFAULT_MS, manage.INIT_TIMEOUT_MAX_SECONDS * 1_000],
  ["the default life is longer than any start", manage.INIT_TIMEOUT_MAX_SECONDS * 1_000, LIFETIME_DEFAULT_MS - 1],
  ["the default life is at most the most", LIFETIME_DEFAULT_MS, manage.WORKER_LIFETIME_MAX_SECONDS * 1_000],
  [
    "what a machine of a thousand GPUs costs is exact",
    1_000 * manage.OFFER_NANODOLLARS_PER_HOUR_MAX,
    Number.MAX_SAFE_INTEGER,
  ],
  ["what a fleet may cost is exact", manage.FLEET_NANODOLLARS_PER_HOUR_MAX, Number.MAX_SAFE_INTEGER],
  ["a provider may offer the whole catalogue, and machines without a GPU", GPU_TYPES.length + 1, manage.OFFERS_MAX],
  [
    "the machines of all of a tenant's providers, of 200 characters each, fit a broker's settings beside all else",
    SETTINGS_CHARS_MAX + 200 * manage.PROVIDERS_MAX * (GPU_TYPES.length + 1),
    1_500_000,
  ],
  ["a webhook body fits what may be posted", limits.WEBHOOK_PAYLOAD_MAX_BYTES, limits.RESULT_MAX_BYTES],
];

describe("the limits", () => {
  it.each(RELATIONS)("agree: %s", (_, lower, upper) => {
    expect(lower).toBeLessThanOrEqual(upper);
  });

  it("are all safe whole numbers above zero", () => {
    const numbers = Object.values(limits).filter((value) => typeof value === "number");
    expect(numbers.every((value) => Number.isSafeInteger(value) && value > 0)).toBe(true);
  });

  it("try a webhook ten times, at once first and then ever later", () => {
    const schedule: readonly number[] = limits.WEBHOOK_SCHEDULE_MS;
    expect(schedule).toHaveLength(10);
    expect(schedule[0]).toBe(0);
    expect([...schedule].sort((left, right) => left - right)).toEqual(schedule);
  });
});
