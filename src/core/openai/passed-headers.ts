// The headers of a client's request that an OpenAI server gets: its trace, and what servers read beside the body. All
// others are between the client and Waybill, or could change how the server treats other tenants.
import { OPENAI_HEADER_MAX_CHARS, OPENAI_TRACE_HEADER_MAX_CHARS } from "./limits.ts";
import { isHeaderValue, type Problem } from "./target.ts";

/** Tracing libraries set these without the client's knowledge, and W3C lets a hop leave them out. */
const OF_TRACES = ["traceparent", "tracestate", "baggage"];
const OF_CLIENTS = ["openai-beta", "anthropic-version", "idempotency-key"];

/**
 * The passed headers of a request by their names in lower case, and what is wrong with the first bad one. A header of a
 * trace that cannot be passed on is left out.
 */
export function passedHeaders(get: (name: string) => string | null): {
  readonly headers: Readonly<Record<string, string>>;
  readonly problem: Problem | null;
} {
  const headers: Record<string, string> = {};
  let problem: Problem | null = null;
  for (const name of [...OF_TRACES, ...OF_CLIENTS]) {
    const value = get(name);
    if (value === null) continue;
    const maxChars = OF_TRACES.includes(name) ? OPENAI_TRACE_HEADER_MAX_CHARS : OPENAI_HEADER_MAX_CHARS;
    if (value.length <= maxChars && isHeaderValue(value)) headers[name] = value;
    else if (OF_CLIENTS.includes(name)) {
      problem ??= { field: name, message: `must be printable ASCII of at most ${maxChars} characters` };
    }
  }
  return { headers, problem };
}
