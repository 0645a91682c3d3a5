// What RunPod's SDK 2 reports for the jobs that a worker holds when it cannot start (docs/wire.md 3.7): an error whose text is JSON,
// with `event` `prestart_failed` (a hook raised or took too long) or `prestart_cancelled` (shut down before its hooks are done).
import { ERROR_TEXT_MAX_CHARS } from "../limits.ts";

export interface StartFailure {
  readonly kind: "failed" | "cancelled";
  /** The report itself, short enough to be a job's error, and still JSON. */
  readonly error: string;
  /** The same for people, in one sentence. */
  readonly detail: string;
}

const KINDS: ReadonlyMap<unknown, StartFailure["kind"]> = new Map([
  ["prestart_failed", "failed"],
  ["prestart_cancelled", "cancelled"],
]);
/** How such a report begins: the SDK writes `event` first. */
const HEAD = /^\{\s*"event"\s*:\s*"(prestart_failed|prestart_cancelled)"/;
/** One member of an object whose value is a string. The text may be cut anywhere, so the end of the string may be missing. */
const MEMBER = /"(error_type|error_message|hook)"\s*:\s*"((?:[^"\\]|\\.)*)/g;
const TOLD_MAX_CHARS = 200;
/** What is left of each long member of a report that is too long, in characters: the first that fits. */
const SHORT_MEMBER_CHARS = [1_000, 400, 100];
/** Members whose end says more than their beginning. */
const KEEPS_END: ReadonlySet<string> = new Set(["error_traceback", "logs"]);

/** Reads the text of a reported error; null: it is none of these. */
export function readStartFailure(text: string): StartFailure | null {
  if (!text.trimStart().startsWith("{")) return null;
  const whole = parseObject(text);
  const members = whole ?? readCut(text);
  const kind = KINDS.get(members.get("event"));
  if (kind === undefined) return null;
  const error = whole !== null && text.length <= ERROR_TEXT_MAX_CHARS ? text : shorten(members);
  return { kind, error, detail: tell(kind, members) };
}

type Members = ReadonlyMap<string, unknown>;

function parseObject(text: string): Members | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? new Map(Object.entries(value)) : new Map();
  } catch {
    return null;
  }
}

/** The members that can be told from the beginning of a report that was cut for its length. */
function readCut(text: string): Members {
  const members = new Map<string, unknown>();
  const event = HEAD.exec(text)?.[1];
  if (event === undefined) return members;
  members.set("event", event);
  for (const [, name = "", raw = ""] of text.matchAll(MEMBER)) {
    if (!members.has(name)) members.set(name, unescapeCut(raw));
  }
  return members;
}

function unescapeCut(raw: string): string {
  try {
    return String(JSON.parse(`"${raw}"`));
  } catch {
    return raw;
  }
}

/** The report as a smaller one. Its members are cut, never its JSON, which programs read. */
function shorten(members: Members): string {
  for (const maxChars of SHORT_MEMBER_CHARS) {
    const cut = [...members].map(([name, value]) => [name, cutMember(name, value, maxChars)]);
    const text = JSON.stringify(Object.fromEntries(cut));
    if (text.length <= ERROR_TEXT_MAX_CHARS) return text;
  }
  return JSON.stringify({ event: members.get("event") });
}

function cutMember(name: string, value: unknown, maxChars: number): unknown {
  if (typeof value !== "string") return value;
  return KEEPS_END.has(name) ? value.slice(-maxChars) : value.slice(0, maxChars);
}

function textOf(members: Members, name: string): string {
  const value = members.get(name);
  return typeof value === "string" ? value.slice(0, TOLD_MAX_CHARS) : "";
}

function tell(kind: StartFailure["kind"], members: Members): string {
  if (kind === "cancelled") return "It was shut down before its start was done.";
  const hook = textOf(members, "hook");
  const words = [textOf(members, "error_type"), textOf(members, "error_message")].filter((word) => word !== "");
  const where = hook === "" ? "Its start failed" : `Its start failed in the hook ${hook}`;
  return words.length === 0 ? `${where}.` : `${where}: ${words.join(": ")}`;
}
