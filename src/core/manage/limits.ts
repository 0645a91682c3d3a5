// The limits of the management API, with the reason for each number: its schemas, the command line and the changes themselves go by
// them. The test asserts how they relate.
import type { RateWindow } from "../access/rate-windows.ts";

/** An environment of some hundred variables fits; a larger body is none of a management call. */
export const MANAGE_BODY_MAX_BYTES = 256 * 1024;
/** An input schema has the deepest values (SCHEMA_DEPTH_MAX), and each level costs the check a call of its own. */
export const VALUE_DEPTH_MAX = 34;
/** More wrong fields than this help nobody, and each is a line of the answer. */
export const WRONG_FIELDS_MAX = 20;
/**
 * RunPod has 60, 3,000 and 50,000. A deployment of one's own has no other customers to protect, but each call costs up to ten
 * rows of D1, which takes some thousand writes a second from all of its callers.
 */
export const MANAGE_WINDOWS: readonly RateWindow[] = [
  { name: "minute", seconds: 60, quota: 3_000 },
  { name: "hour", seconds: 3_600, quota: 60_000 },
  { name: "day", seconds: 86_400, quota: 500_000 },
];
/** Keys whose calls one isolate counts, a few hundred bytes each. */
export const COUNTED_KEYS_MAX = 10_000;

/** Entries of a page of /v1: what a person looks through. */
export const PAGE_MAX = 100;
export const PAGE_DEFAULT = 50;
/** Endpoints of which one call counts the jobs: each is a call of its broker, which may have to start for it. */
export const DEPTH_PAGE_DEFAULT = 20;
/** Lines of the bill in one page, a few hundred bytes each: a script that reads all of it makes few calls. */
export const BILL_LINES_MAX = 1_000;
/** RunPod's clients read the whole list in one page. */
export const RUNPOD_PAGE_MAX = 1_000;
/** Characters after which a page ends. Usual rows have one thousand; an isolate holds a page several times, and has 128 MB. */
export const PAGE_CHARS_MAX = 4_000_000;
/** RunPod's bound of its public catalogue. */
export const PUBLIC_TEMPLATES_MAX = 100;
/** Releases of an endpoint in one answer, which has no pages. */
export const RELEASES_LISTED_MAX = 100;
/** Records of one bill: what a person reads, and a chart draws. */
export const BILL_RECORDS_MAX = 1_000;

/** Well under the 30 days of the bucket's own rule for large payloads: a retry in the last hours keeps them longer. */
export const RETENTION_MAX_MS = 14 * 86_400_000;
/** A job that has failed so often fails again. */
export const ATTEMPTS_MAX = 100;
/** Jobs at once on one upstream, or on one worker of a key. */
export const SLOTS_MAX = 1_000;

/** Ten years: a key that is to last longer has no expiry at all. */
export const KEY_EXPIRES_IN_MAX_SECONDS = 3_650 * 86_400;
/** Longer than any roll-out of a new key takes; beyond it two keys that do the same are forgotten. */
export const KEY_OVERLAP_MAX_SECONDS = 7 * 86_400;
export const KEY_OVERLAP_DEFAULT_SECONDS = 3_600;
/** Endpoints that a key can be restricted to. They stand in its row, which each isolate keeps. */
export const KEY_ENDPOINTS_MAX = 100;
/** A receiver must get its new secret within this time; longer, and a secret that has leaked is of use for long. */
export const SECRET_OVERLAP_MAX_SECONDS = 7 * 86_400;
export const SECRET_OVERLAP_DEFAULT_SECONDS = 86_400;

/** In this time a price reaches every broker of its tier: two rounds of the cron (REPAIR_ENDPOINTS_MAX). */
export const PRICE_LEAD_MIN_MS = 600_000;
/** A minute more, for what the second round takes. */
export const PRICE_LEAD_DEFAULT_MS = 660_000;
/** 10 dollars a second: what a job of seven days costs is still a whole number that a double holds exactly (core/job/pricing.ts). */
export const NANODOLLARS_PER_SECOND_MAX = 10_000_000_000;

/** A caller waits for the push, so it must be shorter than what clients of the management API wait: 30 s. */
export const PUSH_MAX_MS = 5_000;
/** A writer without If-Match reads and tries again this often while others write the same row at once. */
export const CHANGE_TRIES_MAX = 5;

/**
 * Providers of a tenant. All offers of those that an endpoint uses stand in the settings of its broker, beside upstreams and worker keys
 * (SETTINGS_CHARS_MAX).
 */
export const PROVIDERS_MAX = 20;
/** GPU types that one provider offers: more than the catalogue has. */
export const OFFERS_MAX = 100;
/** 100 dollars for an hour of one GPU: ten times what the dearest one costs, so that a figure beyond it is a mistake. */
export const OFFER_NANODOLLARS_PER_HOUR_MAX = 100_000_000_000;
/** A million dollars an hour: no fleet costs as much, and it is still a whole number that a double holds exactly. */
export const FLEET_NANODOLLARS_PER_HOUR_MAX = 1_000_000_000_000_000;
/**
 * Container disk of a machine that an operator pays for, as far as its tenant sets it, in GB: an image with a large model fits, and the
 * price of a machine is meant to include that much.
 */
export const OPERATORS_DISK_MAX_GB = 100;
/**
 * A deleted provider and its sealed key are kept for so long, seen by nobody: a day longer than any machine lives that was had of it, so
 * that each can still be ended.
 */
export const PROVIDER_KEPT_MS = 8 * 86_400_000;
/** Entries of a schedule: each day of a week in seven parts. All of them are looked at whenever one begins or ends. */
export const SCHEDULE_ENTRIES_MAX = 50;
/** A container whose image is there already takes some seconds to start. */
export const INIT_TIMEOUT_MIN_SECONDS = 5;
/** The largest models are loaded within this; a machine whose worker has not come by then is paid for nothing. */
export const INIT_TIMEOUT_MAX_SECONDS = 3_600;
/** The end of a worker is the start of another one, which takes a minute or several, and is paid. */
export const WORKER_LIFETIME_MIN_SECONDS = 60;
/** A machine that nobody remembers must not be paid for longer than a week. */
export const WORKER_LIFETIME_MAX_SECONDS = 7 * 86_400;
