// Clients without a valid key, by their address: above the platform's limit they are refused before D1 is queried. A
// key that this isolate has seen to be genuine is never refused. Of the other keys one a second is looked up, the first
// that comes, because only D1 can tell a valid key from a made-up one whose checksum is right. A valid key that is new
// here may thus get 429 while made-up ones from the same address use up these look-ups. More look-ups or a random
// choice would only raise the number of made-up keys that this takes, and the statements that a flood costs.
import { addressGroup } from "../../core/access/client-address.ts";
import type { Failure } from "../../core/failure.ts";
import { FAILED_CALLER_ASKS_EVERY_MS, FAILED_CALLER_HOLD_MS, FAILED_CALLERS_MAX } from "../../core/limits.ts";
import { log } from "../../log.ts";

interface Limited {
  readonly untilMs: number;
  /** When an unknown key from the address may be looked up again: a worker behind the same address must get in, too. */
  asksAtMs: number;
}

const limited = new Map<string, Limited>();

/** May D1 be queried for a key that is not cached? Null: yes; to be called only if the query is then made. */
export function refuseToAsk(headers: Headers, nowMs: number): Failure | null {
  const held = findLimited(headers, nowMs);
  if (held === null) return null;
  if (nowMs < held.asksAtMs) return tooMany(held, nowMs);
  held.asksAtMs = nowMs + FAILED_CALLER_ASKS_EVERY_MS;
  return null;
}

/** Counts a call without a valid key, and returns its refusal. */
export async function refuseCaller(headers: Headers, env: Env, nowMs: number): Promise<Failure> {
  const held = findLimited(headers, nowMs);
  if (held !== null) return tooMany(held, nowMs);
  const address = addressOf(headers);
  if (address === null || (await isWithinLimit(env, address))) return { kind: "unauthorized" };
  const fresh = { untilMs: nowMs + FAILED_CALLER_HOLD_MS, asksAtMs: nowMs + FAILED_CALLER_ASKS_EVERY_MS };
  if (limited.size >= FAILED_CALLERS_MAX) limited.clear();
  limited.set(address, fresh);
  return tooMany(fresh, nowMs);
}

/** Null: the platform has not sent the caller's address, as in tests. A client cannot set this header itself. */
function addressOf(headers: Headers): string | null {
  const address = headers.get("cf-connecting-ip");
  return address === null || address === "" ? null : addressGroup(address);
}

function findLimited(headers: Headers, nowMs: number): Limited | null {
  if (limited.size === 0) return null;
  const address = addressOf(headers);
  const held = address === null ? undefined : limited.get(address);
  return held !== undefined && nowMs < held.untilMs ? held : null;
}

/** A deployment with an earlier configuration has no such binding, and so no limit. */
async function isWithinLimit({ AUTH_FAILURES }: Partial<Env>, address: string): Promise<boolean> {
  if (AUTH_FAILURES === undefined) return true;
  try {
    return (await AUTH_FAILURES.limit({ key: address })).success;
  } catch (error) {
    log("rate_limit_failed", { error: String(error) });
    return true;
  }
}

function tooMany({ untilMs }: Limited, nowMs: number): Failure {
  return { kind: "too_many_failures", retryAfterSeconds: (untilMs - nowMs) / 1_000 };
}
