// CORS for the routes that pages call: a preflight is answered without a key, and an answer names exactly the origin that has asked, if
// its endpoint allows it. Never `*`, and never credentials: a token or key is in a header that the page itself sets.
import type { Next } from "hono";
import { PREFLIGHT_KEPT_SECONDS } from "../../core/access/limits.ts";
import type { RouteContext } from "./context.ts";
import { findAllowedOrigins } from "./find-endpoint.ts";

/** What a page may send beside what each page may. */
const REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID";
/** What a page may read beside what each page may. */
const ANSWER_HEADERS = "X-Job-Id, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id";

/** Stands before the handlers of a path, so that refusals and the answers to other methods have the headers, too. */
export async function answerPages(c: RouteContext, next: Next): Promise<Response | undefined> {
  const { headers, method } = c.req.raw;
  const origin = headers.get("origin");
  if (origin === null) {
    await next();
    return undefined;
  }
  if (method === "OPTIONS" && headers.has("access-control-request-method")) {
    const allowed = await isAllowed(c, origin);
    return new Response(null, { status: 204, headers: { ...common(c), ...(allowed ? preflight(origin) : {}) } });
  }
  await next();
  c.res.headers.append("vary", "Origin");
  if (!(await isAllowed(c, origin))) return undefined;
  c.res.headers.set("access-control-allow-origin", origin);
  c.res.headers.set("access-control-expose-headers", ANSWER_HEADERS);
  return undefined;
}

function common(c: RouteContext) {
  return { vary: "Origin", "x-request-id": c.get("requestId") };
}

function preflight(origin: string) {
  return {
    "access-control-allow-origin": origin,
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": REQUEST_HEADERS,
    "access-control-max-age": String(PREFLIGHT_KEPT_SECONDS),
  };
}

/** The call itself has put the endpoint into this isolate's cache, if its key was good. */
async function isAllowed(c: RouteContext, origin: string): Promise<boolean> {
  const allowed = await findAllowedOrigins(c.req.param("endpoint") ?? "", c.req.raw.headers, c.env, Date.now());
  return allowed.includes(origin);
}
