// A tenant's share of an endpoint: rows and bytes of its jobs there; finished and purged jobs count until they are deleted. It is
// checked before a job is admitted and never afterwards, because an admitted job's result must find room.
import type { Failure } from "../../core/failure.ts";
import { ENDPOINT_MAX_BYTES, ENDPOINT_ROWS_MAX, LIMIT_RETRY_AFTER_SECONDS } from "../../core/limits.ts";
import type { Tally } from "../store/kept-tally.ts";

/** Returns the refusal of a new job that takes `newBytes`; null: the job finds room. */
export function refuseBeyondShare(kept: Tally, newBytes: number, percent: number): Failure | null {
  // A tenant that may have all of the endpoint is stopped by the limits of the endpoint itself.
  if (percent >= 100) return null;
  const rowsMax = Math.floor((ENDPOINT_ROWS_MAX * percent) / 100);
  const bytesMax = Math.floor((ENDPOINT_MAX_BYTES * percent) / 100);
  const retryAfterSeconds = LIMIT_RETRY_AFTER_SECONDS;
  if (kept.rows >= rowsMax) return { kind: "tenant_share", full: "rows", max: rowsMax, retryAfterSeconds };
  if (kept.bytes + newBytes > bytesMax)
    return { kind: "tenant_share", full: "bytes", max: bytesMax, retryAfterSeconds };
  return null;
}
