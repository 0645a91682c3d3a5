// Query parameters of job routes: each at most once, an integer of milliseconds between two bounds.
import { fail, ok, type Result } from "../failure.ts";
import { POLICY_MAX_MS, TTL_MIN_MS, WAIT_DEFAULT_MS, WAIT_MAX_MS, WAIT_MIN_MS } from "../limits.ts";

/** `?wait=` in milliseconds, or RunPod's default for the route if it is absent. */
export function readWait(url: string, defaultMs = WAIT_DEFAULT_MS): Result<number> {
  const wait = readMilliseconds(url, "wait", WAIT_MIN_MS, WAIT_MAX_MS);
  return wait.ok ? ok(wait.value ?? defaultMs) : wait;
}

/** `?ttl=` in milliseconds; null when absent. */
export function readTtl(url: string): Result<number | null> {
  return readMilliseconds(url, "ttl", TTL_MIN_MS, POLICY_MAX_MS);
}

/** One parameter; null when absent. */
function readMilliseconds(url: string, name: string, minMs: number, maxMs: number): Result<number | null> {
  const field = `?${name}`;
  if (!url.includes("?")) return ok(null);
  const values = new URL(url).searchParams.getAll(name);
  if (values.length > 1) return fail({ kind: "invalid", field, message: "may be given only once" });
  const text = values[0];
  if (text === undefined) return ok(null);
  const milliseconds = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (milliseconds >= minMs && milliseconds <= maxMs) return ok(milliseconds);
  return fail({ kind: "invalid", field, message: `must be an integer from ${minMs} to ${maxMs} (milliseconds)` });
}
