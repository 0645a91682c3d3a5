// The headers of a client's request that an OpenAI server gets: its trace, and what servers read beside the body. All
// others are between the client and Waybill, or could change how the server treats other tenants.
import { OPENAI_HEADERS_MAX_CHARS } from "./limits.ts";
import { isHeaderValue, type Problem } from "./target.ts";

const PASSED = ["traceparent", "tracestate", "baggage", "openai-beta", "anthropic-version", "idempotency-key"];

const TOO_LARGE = `the headers that are passed on may have at most ${OPENAI_HEADERS_MAX_CHARS} characters together`;

/** The passed headers of a request by their names in lower case, and what is wrong with the first bad one. */
export function passedHeaders(get: (name: string) => string | null): {
  readonly headers: Readonly<Record<string, string>>;
  readonly problem: Problem | null;
} {
  const headers: Record<string, string> = {};
  let problem: Problem | null = null;
  let chars = 0;
  for (const name of PASSED) {
    const value = get(name);
    if (value === null) continue;
    chars += name.length + value.length;
    if (!isHeaderValue(value)) problem ??= { field: name, message: "must be printable ASCII" };
    if (chars > OPENAI_HEADERS_MAX_CHARS) problem ??= { field: name, message: TOO_LARGE };
    headers[name] = value;
  }
  return { headers, problem };
}
