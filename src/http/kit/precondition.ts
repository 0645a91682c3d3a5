// Two headers of changing calls: Idempotency-Key, by which a repeated creation makes nothing twice, and If-Match, by which the second of
// two writers learns that it is the second.
import { toHex } from "../../core/bytes/hex.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import type { CreatingCall } from "../../db/creations.ts";
import type { RouteContext } from "./context.ts";

/** As for jobs: up to 255 printable characters. */
const IDEMPOTENCY_KEY = /^[\x20-\x7e]{1,255}$/;

/** The key of a creating call; null: it has none. */
export async function readCreation(c: RouteContext, body: string): Promise<Result<CreatingCall | null>> {
  const key = c.req.raw.headers.get("idempotency-key");
  if (key === null) return ok(null);
  if (!IDEMPOTENCY_KEY.test(key)) {
    return fail({
      kind: "invalid",
      field: "Idempotency-Key",
      message: "must have 1 to 255 printable ASCII characters",
    });
  }
  const { search } = new URL(c.req.url);
  const text = new TextEncoder().encode(`${c.req.method} ${c.req.path}${search}\n${body}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return ok({ key, fingerprint: toHex(digest) });
}

/**
 * The version in `If-Match: "3"`, which the `ETag` of an answer has, or bare as `3`; null: none, or `*`. A proxy that compresses an answer
 * makes its tag a weak one, as Cloudflare does, and the client sends back what it got: `W/"3"` is the same version.
 */
export function readIfMatch(headers: Headers): Result<number | null> {
  const text = headers.get("if-match")?.trim() ?? "*";
  if (text === "*") return ok(null);
  const [, quoted, bare] = /^(?:(?:W\/)?"(\d{1,15})"|(\d{1,15}))$/.exec(text) ?? [];
  const version = quoted ?? bare;
  if (version !== undefined) return ok(Number(version));
  return fail({ kind: "invalid", field: "If-Match", message: 'must be the version of what is changed, such as "3"' });
}
