// What RunPod's SDK 2 reports for the jobs that a worker holds when it cannot start (docs/wire.md 3.7): an error whose text is JSON,
// with `event` `prestart_failed` (a hook raised or took too long) or `prestart_cancelled` (shut down before its hooks are done).
import { type Fields, fieldsOf, parseJson, textOf } from "../json/value.ts";
import { closeCut } from "../openai/cut-text.ts";
import { boundErrorText } from "./error-text.ts";

export interface StartFailure {
  readonly kind: "failed" | "cancelled";
  /** The report itself, short enough to be a job's error, and still JSON. */
  readonly error: string;
  /** The report as one sentence for people. */
  readonly detail: string;
}

const KINDS: ReadonlyMap<unknown, StartFailure["kind"]> = new Map([
  ["prestart_failed", "failed"],
  ["prestart_cancelled", "cancelled"],
]);
/** The members that are used of a report that was cut for its length. */
const TOLD: ReadonlySet<string> = new Set(["event", "error_type", "error_message", "hook"]);
const SHOWN_MAX_CHARS = 200;

/** Reads the text of a reported error; null: it does not report a failed start. */
export function readStartFailure(text: string): StartFailure | null {
  if (!text.trimStart().startsWith("{")) return null;
  const whole = parseJson(text);
  const members = whole === undefined ? readCut(text) : (fieldsOf(whole) ?? {});
  const kind = KINDS.get(members.event);
  if (kind === undefined) return null;
  const error = boundErrorText(whole === undefined ? JSON.stringify(members) : text);
  return { kind, error, detail: tell(kind, members) };
}

/** The string members of a report that was cut; the end of the last one may be missing. */
function readCut(text: string): Fields {
  const fields = closeCut(text).map((closed) => fieldsOf(parseJson(closed)));
  const found = Object.entries(fields.find((one) => one !== null) ?? {});
  return Object.fromEntries(found.filter(([name, value]) => TOLD.has(name) && typeof value === "string"));
}

function tell(kind: StartFailure["kind"], members: Fields): string {
  if (kind === "cancelled") return "It was shut down before its start was done.";
  const shown = (name: string) => textOf(members, name).slice(0, SHOWN_MAX_CHARS);
  const hook = shown("hook");
  const words = [shown("error_type"), shown("error_message")].filter((word) => word !== "");
  const where = hook === "" ? "Its start failed" : `Its start failed in the hook ${hook}`;
  return words.length === 0 ? `${where}.` : `${where}: ${words.join(": ")}`;
}
