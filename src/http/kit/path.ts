// The path of a request: Hono routes by it, and every part reads the same one as `c.req.path`. Paths of load-balanced
// endpoints belong to their workers and are read from the URL (lb/target.ts).

/**
 * The path of a request's URL, with its escapes and without empty segments: clients that join paths to a base URL with
 * a slash at its end ask for `//v2/ep/run`, `/v2//ep/run` or `/v2/ep/health/`. No URL (`OPTIONS *`): the root.
 */
export function readPath({ url }: Request): string {
  const pathname = URL.parse(url)?.pathname ?? "/";
  const joined = pathname.includes("//") ? pathname.replace(/\/{2,}/g, "/") : pathname;
  return joined.endsWith("/") && joined !== "/" ? joined.slice(0, -1) : joined;
}

/** A model's name may contain slashes, which OpenAI's clients escape. */
const OPENAI_PATH = /^\/v2\/[^/%]+\/openai\/v1\//;

/**
 * The path may have no empty segment, and no encoded slash, backslash or control character that a later parser could
 * decode. Slashes of an OpenAI path may be encoded if the path is plain once they are decoded.
 */
export function isPlainPath(path: string): boolean {
  if (path === "/") return true;
  if (path.includes("//") || path.endsWith("/")) return false;
  if (!path.includes("%")) return true;
  if (OPENAI_PATH.test(path) && /%2f/i.test(path)) {
    const read = path.replace(/%2f/gi, "/");
    const hasDots = /\/\.{1,2}(?:\/|$)/.test(read.replace(/%2e/gi, "."));
    return !hasDots && isPlainPath(read);
  }
  const encoded = path.match(/%.{0,2}/g) ?? [];
  return encoded.every((text) => /^%[0-9a-f]{2}$/i.test(text) && !/^%([01].|7f|2f|5c)$/i.test(text));
}
