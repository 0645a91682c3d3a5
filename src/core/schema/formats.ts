// The formats that are checked. Each is decided in time that grows with the text: by a bound of its length, or by expressions in which
// the engine has no choice. A format that is not here says nothing, as the standard has it.

/** Longer than any date, address or duration that is meant. */
const SHORT_MAX_CHARS = 320;

const DATE = /^(\d{4})-(\d\d)-(\d\d)$/;
const TIME = /^(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:z|([+-])(\d\d):(\d\d))$/i;
const DURATION_OF_TIME = String.raw`T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S)`;
const DURATION_OF_DAYS = String.raw`(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)`;
const DURATION = new RegExp(`^P(?:\\d+W|${DURATION_OF_DAYS}(?:${DURATION_OF_TIME})?|${DURATION_OF_TIME})$`);
const MAILBOX = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/i;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
const BYTE = /^(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$/;
const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;
const SCHEME = /^[a-z][a-z0-9+.-]*:/i;
const NOT_OF_URI = /[^\w\-.~:/?#[\]@!$&'()*+,;=%]/;
const BAD_PERCENT = /%(?![\da-f]{2})/i;
const HOST = /^(?:\[([^[\]]*)\]|[^:[\]]*)(?::\d*)?$/;
const FUTURE_ADDRESS = /^v[\da-f]+\..+$/i;
const BAD_TILDE = /~(?![01])/;
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const FORMATS: ReadonlyMap<string, (text: string) => boolean> = new Map([
  ["date", short(isDate)],
  ["time", short(isTime)],
  ["date-time", short(isDateTime)],
  ["duration", short((text) => DURATION.test(text))],
  ["email", short(isEmail)],
  ["hostname", short(isHostname)],
  ["ipv4", short(isIpv4)],
  ["ipv6", short(isIpv6)],
  ["uuid", short((text) => UUID.test(text))],
  ["uri", (text) => SCHEME.test(text.slice(0, SHORT_MAX_CHARS)) && isReference(text)],
  ["uri-reference", isReference],
  ["json-pointer", (text) => (text === "" || text.startsWith("/")) && !BAD_TILDE.test(text)],
]);

/** Tells whether a text has a format; undefined: the format is not checked here. */
export function formatOf(name: string): ((text: string) => boolean) | undefined {
  return FORMATS.get(name);
}

function short(has: (text: string) => boolean): (text: string) => boolean {
  return (text) => text.length <= SHORT_MAX_CHARS && has(text);
}

function isDate(text: string): boolean {
  const [, year = "", month = "", day = ""] = DATE.exec(text) ?? [];
  const years = Number(year);
  const isLeap = month === "02" && years % 4 === 0 && (years % 100 !== 0 || years % 400 === 0);
  const days = (DAYS[Number(month) - 1] ?? 0) + (isLeap ? 1 : 0);
  return Number(day) >= 1 && Number(day) <= days;
}

/** RFC 3339, with its leap second, which is the last one of a day in UTC. */
function isTime(text: string): boolean {
  const found = TIME.exec(text);
  if (found === null) return false;
  const [, hour, minute, second, sign, zoneHour = 0, zoneMinute = 0] = found;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(zoneHour) > 23 || Number(zoneMinute) > 59) return false;
  if (Number(second) < 60) return true;
  const zone = (Number(zoneHour) * 60 + Number(zoneMinute)) * (sign === "-" ? -1 : 1);
  const inUtc = (Number(hour) * 60 + Number(minute) - zone + 1_440) % 1_440;
  return Number(second) === 60 && inUtc === 1_439;
}

function isDateTime(text: string): boolean {
  const separator = text.charAt(10);
  return isDate(text.slice(0, 10)) && "tT ".includes(separator) && isTime(text.slice(11));
}

function isEmail(text: string): boolean {
  const at = text.lastIndexOf("@");
  const host = text.slice(at + 1);
  return at > 0 && MAILBOX.test(text.slice(0, at)) && isHostname(host) && host.includes(".");
}

function isHostname(text: string): boolean {
  return text.length <= 253 && text.split(".").every((label) => LABEL.test(label));
}

function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => BYTE.test(part));
}

function isIpv6(text: string): boolean {
  const [before = "", after, more] = text.split("::");
  if (more !== undefined) return false;
  const groups = groupsOf(after ?? before, true);
  if (after === undefined) return groups === 8;
  return groupsOf(before, false) + groups <= 7;
}

/** How many groups of 16 bits a part of an address has; infinitely many where one is none. */
function groupsOf(text: string, isLast: boolean): number {
  if (text === "") return 0;
  const parts = text.split(":");
  const end = parts.at(-1) ?? "";
  const hasIpv4 = isLast && end.includes(".");
  if (hasIpv4 && !isIpv4(end)) return Infinity;
  const groups = hasIpv4 ? parts.slice(0, -1) : parts;
  if (!groups.every((part) => /^[\da-f]{1,4}$/i.test(part))) return Infinity;
  return groups.length + (hasIpv4 ? 2 : 0);
}

/** RFC 3986 but for what depends on a scheme: its characters, its escapes, and one fragment. */
function isReference(text: string): boolean {
  if (NOT_OF_URI.test(text) || BAD_PERCENT.test(text) || text.indexOf("#") !== text.lastIndexOf("#")) return false;
  const place = before(before(text, "#"), "?");
  const scheme = SCHEME.exec(place.slice(0, SHORT_MAX_CHARS))?.[0] ?? "";
  const rest = place.slice(scheme.length);
  // The first part of a relative path may have no colon, which would end a scheme.
  if (scheme === "" && before(rest, "/").includes(":")) return false;
  if (!rest.startsWith("//")) return !text.includes("[") && !text.includes("]");
  const authority = before(rest.slice(2), "/");
  if (authority.length > SHORT_MAX_CHARS) return false;
  const [user, more] = authority.split("@");
  if (authority.split("@").length > 2) return false;
  const found = HOST.exec(more ?? user ?? "");
  if (found === null) return false;
  const [, literal] = found;
  // Brackets stand around an address alone.
  const at = text.indexOf("[");
  if (literal === undefined) return at < 0 && !text.includes("]");
  const isOnly = at === text.lastIndexOf("[") && text.indexOf("]") === text.lastIndexOf("]");
  return isOnly && (isIpv6(literal) || FUTURE_ADDRESS.test(literal));
}

/** What stands before the first of these characters; all of a text that has none. */
function before(text: string, char: string): string {
  const at = text.indexOf(char);
  return at < 0 ? text : text.slice(0, at);
}
