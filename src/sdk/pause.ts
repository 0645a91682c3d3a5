// How long a worker waits before it makes a call again that failed.
import { backoffMs } from "../core/job/backoff.ts";
import type { Answer } from "./worker-api.ts";

/** What an answer may ask for: a server that is wrong by an hour must not keep a result from its client for so long. */
const ASKED_MAX_MS = 60_000;

/** At least what the answer asks for by `Retry-After`, and longer with each failure in a row, so that no answer makes a loop. */
export function pauseAfter(
  { retryAfterMs }: Answer,
  failures: number,
  { firstMs, longestMs }: { readonly firstMs: number; readonly longestMs: number },
): number {
  const askedMs = Math.min(retryAfterMs ?? 0, ASKED_MAX_MS);
  return Math.max(askedMs, backoffMs(failures, firstMs, longestMs, Math.random()));
}
