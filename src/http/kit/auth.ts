// Finds out who calls. A key's checksum is checked, then its digest under the pepper, in the same time for any key.
import { readConfig } from "../../config.ts";
import type { Caller, Scope } from "../../contract/identity.ts";
import { isKeyOver, parseApiKey } from "../../core/access/api-key.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { KEY_MISSING_MS } from "../../core/limits.ts";
import { ImportUnfinished } from "../../db/importing.ts";
import { findKey, type StoredKey } from "../../db/keys.ts";
import { StaleCache } from "../../db/stale-cache.ts";
import { log } from "../../log.ts";
import { digestKey } from "../../outbound/credentials.ts";
import { refuseCaller, refuseToAsk } from "./failed-callers.ts";

const NO_DIGEST = "0".repeat(64);

/** Anchored and linear. Two Authorization headers arrive joined by a comma, which the pattern does not accept. */
const AUTHORIZATION = /^(?:bearer +)?([A-Za-z0-9_]{1,255})$/i;

const keys = new StaleCache<StoredKey>(KEY_MISSING_MS);

/**
 * The caller who presents a key. `unavailable` when D1 is down and the key is not cached; the keys of a caller who
 * fails too often are not looked up.
 */
export async function authenticate(
  headers: Headers,
  env: Env,
  nowMs: number,
  presented = readKey(headers),
): Promise<Result<Caller>> {
  if (presented === null) return fail(await refuseCaller(headers, env, nowMs));
  const { id } = presented;
  const refused = keys.isUnknown(id, nowMs) ? refuseToAsk(headers, nowMs) : null;
  if (refused !== null) return fail(refused);
  const found = await findStoredKey(id, env, nowMs);
  if (!found.ok) return found;
  const stored = found.value;
  const genuine = await isGenuine(presented, stored?.digest ?? null, readConfig(env).pepper);
  if (stored !== null && genuine && !isKeyOver(stored, nowMs)) return ok(stored.caller);
  return fail(await refuseCaller(headers, env, nowMs));
}

/** The key of an id, as this isolate knows it: of the last 30 s, or older while D1 does not answer. */
export async function findStoredKey(id: string, env: Env, nowMs: number): Promise<Result<StoredKey | null>> {
  try {
    return ok(await keys.get(id, nowMs, () => findKey(env.DB, id)));
  } catch (error) {
    log("key_lookup_failed", { error: String(error) });
    const message = error instanceof ImportUnfinished ? error.message : "keys cannot be checked right now";
    return fail({ kind: "unavailable", message });
  }
}

/** To be called where a key was changed: this isolate goes by the change at once, others within FRESH_MS. */
export function forgetKey(id: string): void {
  keys.forget(id);
}

/** Keys that were found genuine, by id, with their digests: to digest a key again takes longer than all else here. */
const genuineKeys = new Map<string, { readonly bytes: Uint8Array; readonly digest: string }>();
const GENUINE_KEYS_MAX = 10_000;
const encoder = new TextEncoder();

/**
 * Is this the digest of the key? Takes the same time for any key; null: the digest of no key. A key that was genuine
 * before is compared with its cached bytes, in constant time as well.
 */
export async function isGenuine({ id, key }: PresentedKey, ofKey: string | null, pepper: string): Promise<boolean> {
  const digest = ofKey ?? NO_DIGEST;
  const known = genuineKeys.get(id);
  const bytes = encoder.encode(key);
  if (known !== undefined && known.digest === digest && known.bytes.length === bytes.length) {
    if (crypto.subtle.timingSafeEqual(known.bytes, bytes)) return true;
  }
  if (!crypto.subtle.timingSafeEqual(await digestKey(key, pepper), Uint8Array.fromHex(digest))) return false;
  if (genuineKeys.size >= GENUINE_KEYS_MAX) genuineKeys.clear();
  genuineKeys.set(id, { bytes, digest });
  return true;
}

/** Finds the key in the headers of a request; null: the key is missing or mistyped. */
export type ReadKey = (headers: Headers) => PresentedKey | null;

export interface PresentedKey {
  readonly key: string;
  readonly id: string;
}

/** The key of `Authorization: Bearer KEY` or the bare key, and its id; null when it is missing or mistyped. */
export function readKey(headers: Headers): PresentedKey | null {
  const key = AUTHORIZATION.exec(headers.get("authorization") ?? "")?.[1];
  const parsed = key === undefined ? null : parseApiKey(key);
  return key === undefined || parsed === null ? null : { key, id: parsed.id };
}

/** The caller, if its key has one of the scopes. */
export function requireScope(caller: Caller, ...scopes: readonly Scope[]): Result<Caller> {
  if (scopes.some((scope) => caller.scopes.includes(scope))) return ok(caller);
  return fail({ kind: "forbidden", scope: scopes.join(" or "), isWorkerKey: caller.scopes.includes("worker") });
}
