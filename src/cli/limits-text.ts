// Makes docs/limits.md: every limit that a user can meet. Names, values and reasons are those of the limits files of core, so
// that the page cannot say anything else than the code does; only what each limit is of stands in limits-sections.ts.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as access from "../core/access/limits.ts";
import { CALLS_WINDOW_SECONDS, OPERATION_LIMITS, OPERATIONS, type Operation } from "../core/access/limits.ts";
import * as endpoint from "../core/endpoint/limits.ts";
import * as fleet from "../core/fleet/limits.ts";
import * as webhooks from "../core/job/webhook-limits.ts";
import * as core from "../core/limits.ts";
import * as manage from "../core/manage/limits.ts";
import * as meter from "../core/meter/limits.ts";
import * as openai from "../core/openai/limits.ts";
import * as schema from "../core/schema/limits.ts";
import { SECTIONS } from "./limits-sections.ts";

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
  ["src/core/fleet/limits.ts", fleet],
  ["src/core/job/webhook-limits.ts", webhooks],
  ["src/core/meter/limits.ts", meter],
]);

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
