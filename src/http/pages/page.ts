// Pages for people, made by `[build]` of wrangler.toml and kept as static assets. The Worker hands them out, because patterns of paths
// would take the same paths from load-balanced hosts, which belong to their workers.
import type { RouteContext } from "../kit/context.ts";

/** Scripts and styles are files of ours alone, so that no text of a page can become one. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Is the path, as the URL has it, one of the pages' own? */
export function isPagePath(pathname: string): boolean {
  return /^\/docs(?:\/|$)/.test(pathname);
}

/** The page or its file; null: there is none, also in a deployment without assets. */
export async function showPage(c: RouteContext): Promise<Response | null> {
  const { ASSETS }: Partial<Env> = c.env;
  const found = await ASSETS?.fetch(c.req.raw);
  if (found === undefined || found.status === 404) return null;
  const answer = new Response(found.body, found);
  answer.headers.set("content-security-policy", POLICY);
  answer.headers.set("x-content-type-options", "nosniff");
  answer.headers.set("referrer-policy", "no-referrer");
  answer.headers.set("x-request-id", c.get("requestId"));
  return answer;
}
