// When a key that is asked for ends.
import { fail, ok, type Result } from "../core/failure.ts";

/** The two forms in which a request may give an expiry. */
export interface AskedExpiry {
  readonly expiresAt?: string | null | undefined;
  readonly expiresInSeconds?: number | undefined;
}

/** Epoch ms; null: never; undefined: the request does not say. A time that is over would make a key that never works. */
export function readExpiry(
  { expiresAt, expiresInSeconds }: AskedExpiry,
  nowMs: number,
): Result<number | null | undefined> {
  if (expiresInSeconds !== undefined) return ok(nowMs + expiresInSeconds * 1_000);
  if (expiresAt === undefined || expiresAt === null) return ok(expiresAt);
  const atMs = Date.parse(expiresAt);
  return atMs > nowMs ? ok(atMs) : fail({ kind: "invalid", field: "expiresAt", message: "must be in the future" });
}
