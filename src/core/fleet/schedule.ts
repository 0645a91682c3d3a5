// Workers that are to be there at given hours: which part of a schedule holds at a time, and when that changes next. Hours are
// those of a wall clock in a time zone, so that an office finds its workers at nine in summer and in winter.

const DAY_MINUTES = 24 * 60;
const MINUTE_MS = 60_000;
export const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;
export type Day = (typeof DAYS)[number];
const NUMBER_OF_DAY: ReadonlyMap<string, number> = new Map(DAYS.map((day, at) => [day, at]));

/** From `fromMinute` until `toMinute` of these days (minutes since midnight) there are at least `min` workers. */
export interface ScheduleEntry {
  readonly days: readonly Day[];
  readonly fromMinute: number;
  /** At most 24 × 60. One that is not after `fromMinute` is a time of the next day. */
  readonly toMinute: number;
  readonly min: number;
}

export interface Schedule {
  /** A name of the IANA database, such as Europe/Berlin. */
  readonly timeZone: string;
  readonly entries: readonly ScheduleEntry[];
}

/** The most workers that an entry of this moment asks for; 0: none does. */
export function scheduledMin({ timeZone, entries }: Schedule, nowMs: number): number {
  const minute = minuteOfWeek(timeZone, nowMs);
  return entries.reduce((most, entry) => (isIn(entry, minute) ? Math.max(most, entry.min) : most), 0);
}

/** When another entry begins or one ends, epoch ms; Infinity: never. It may come early, when the zone's clock is changed meanwhile. */
export function scheduleChangesAtMs({ timeZone, entries }: Schedule, nowMs: number): number {
  const minute = minuteOfWeek(timeZone, nowMs);
  const week = DAYS.length * DAY_MINUTES;
  let least = Number.POSITIVE_INFINITY;
  for (const entry of entries) {
    for (const [begin, end] of spansOf(entry)) {
      for (const at of [begin, end]) least = Math.min(least, (at - minute + 2 * week) % week || week);
    }
  }
  if (!Number.isFinite(least)) return least;
  const thisMinuteMs = nowMs - (nowMs % MINUTE_MS);
  const atMs = thisMinuteMs + least * MINUTE_MS;
  // Where the clock is put forward meanwhile, the moment comes earlier than so many minutes from now.
  const skipped = (minuteOfWeek(timeZone, atMs) - minute - least + 2 * week) % week;
  const isForward = skipped > 0 && skipped <= DAY_MINUTES / 2;
  return isForward ? Math.max(atMs - skipped * MINUTE_MS, thisMinuteMs + MINUTE_MS) : atMs;
}

/** Is it the name of a time zone? */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en-US", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function isIn(entry: ScheduleEntry, minute: number): boolean {
  const week = DAYS.length * DAY_MINUTES;
  return spansOf(entry).some(([begin, end]) => (minute - begin + week) % week < end - begin);
}

/** Begin and end of the entry in minutes since the week's beginning; an end may be after the week's. */
function spansOf({ days, fromMinute, toMinute }: ScheduleEntry): readonly (readonly [number, number])[] {
  const length = toMinute > fromMinute ? toMinute - fromMinute : toMinute + DAY_MINUTES - fromMinute;
  return days.map((day) => {
    const begin = DAYS.indexOf(day) * DAY_MINUTES + fromMinute;
    return [begin, begin + length] as const;
  });
}

function minuteOfWeek(timeZone: string, atMs: number): number {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  const parts = new Map(format.formatToParts(new Date(atMs)).map(({ type, value }) => [type, value]));
  const day = NUMBER_OF_DAY.get(parts.get("weekday") ?? "") ?? 0;
  return day * DAY_MINUTES + Number(parts.get("hour")) * 60 + Number(parts.get("minute"));
}
