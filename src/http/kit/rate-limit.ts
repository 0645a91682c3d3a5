// Counts the management calls of each key, in the memory of this isolate: a deployment has several, and each counts for itself, so
// the quotas bound what one isolate does, not what a key may do in all.
import type { Caller } from "../../contract/identity.ts";
import { RateWindows, ratePolicy } from "../../core/access/rate-windows.ts";
import type { Failure } from "../../core/failure.ts";
import { COUNTED_KEYS_MAX, MANAGE_WINDOWS } from "../../core/manage/limits.ts";

const POLICY = ratePolicy(MANAGE_WINDOWS);

const windows = new Map<string, RateWindows>();

/** Counts a call. The headers are for its answer, whatever that is; `failure`: the call is one too many. */
export function countCall(
  { keyId }: Pick<Caller, "keyId">,
  nowMs: number,
): { readonly headers: Readonly<Record<string, string>>; readonly failure: Failure | null } {
  const counted = windows.get(keyId) ?? new RateWindows();
  if (!windows.has(keyId) && windows.size >= COUNTED_KEYS_MAX) windows.clear();
  windows.set(keyId, counted);
  const { header, full } = counted.take(MANAGE_WINDOWS, nowMs);
  const headers = { "ratelimit-policy": POLICY, ratelimit: header };
  return { headers, failure: full === null ? null : { kind: "rate_limited", ...full } };
}
