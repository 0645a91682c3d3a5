// A line of a worker's log for people. Beside a broker a worker writes its own lines as JSON, for a platform that collects them.
import { fieldsOf, parseJson } from "../../core/json/value.ts";

/** The first member of such a line (src/sdk/log.ts). */
const OWN = '{"requestId":';

/** In the form that the worker's lines have without a broker; every other line as it is. */
export function readableLine(line: string): string {
  const fields = line.startsWith(OWN) ? fieldsOf(parseJson(line)) : null;
  if (fields === null) return line;
  const { requestId, message, level, ...details } = fields;
  const words = Object.entries(details).map(([name, value]) => ` ${name}=${String(value)}`);
  const job = typeof requestId === "string" ? `${requestId} | ` : "";
  return `${String(level).padEnd(5)} | ${job}${String(message)}${words.join("")}`;
}
