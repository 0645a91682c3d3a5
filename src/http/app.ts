// The HTTP side of Waybill: decides which part answers a request, and what is done for every request.
import { Hono, type Next } from "hono";
import { RESERVED_NAMES } from "../core/access/endpoint-name.ts";
import type { Failure } from "../core/failure.ts";
import { log } from "../log.ts";
import { FLASH_ROUTES } from "./jobs/flash.ts";
import type { RouteContext, Routing } from "./kit/context.ts";
import { crashAnswer } from "./kit/failures.ts";
import { isPlainPath, readPath } from "./kit/path.ts";
import { crashAsProblem, refuseAsProblem, refuseAsRunPodProblem } from "./kit/problem.ts";
import { takeRest } from "./kit/request-body.ts";
import { addRoutes, refuse } from "./kit/route.ts";
import { forwardToWorker } from "./lb/forward.ts";
import { findLbTarget, readHosts } from "./lb/target.ts";
import { refuseOpenAi } from "./openai/errors.ts";
import { isPagePath, showPage } from "./pages/page.ts";
import { MANAGEMENT_ROUTES, ROUTES } from "./routes.ts";
import { holdRefusal } from "./workers/polls.ts";

const NO_ROUTE = { kind: "not_found", what: "route" } as const;

/** The application. It never throws: an unexpected error is logged and answered with 500. */
export function createApp(): Hono<Routing> {
  const app = new Hono<Routing>({ getPath: readPath });
  app.use(async (c, next) => {
    const startedMs = Date.now();
    c.set("requestId", crypto.randomUUID());
    await serve(c, next).catch((error: unknown) => {
      c.res = answerCrash(c, error);
    });
    c.executionCtx.waitUntil(logAnswered(c, startedMs));
  });
  addRoutes(app, MANAGEMENT_ROUTES);
  addRoutes(app, FLASH_ROUTES);
  // Before the routes of jobs, or POST /v2/serverless/run would be a job of an endpoint named "serverless".
  for (const word of RESERVED_NAMES) app.all(`/v2/${word}/*`, (c) => refusalAt(c.req.path)(c, NO_ROUTE));
  addRoutes(app, ROUTES);
  app.notFound((c) => refusalAt(c.req.path)(c, NO_ROUTE));
  app.onError((error, c) => answerCrash(c, error));
  return app;
}

/** Lets the part that a request is for answer it, and takes the rest of its body that no code has read. */
async function serve(c: RouteContext, next: Next): Promise<void> {
  // Checked before the rest of the path, because only a worker may judge what follows its endpoint's name. There is no
  // URL for `OPTIONS *`, which asks about the server as a whole.
  const url = URL.parse(c.req.raw.url);
  const target = url === null ? null : findLbTarget(url, readHosts(c.env));
  if (target !== null) c.res = await forwardToWorker(c, target);
  else if (url !== null && isPagePath(url.pathname)) c.res = await answerPage(c);
  else if (url !== null && isPlainPath(c.req.path)) await next();
  else c.res = refusalAt(c.req.path)(c, NO_ROUTE);
  // Hono sends no body to a HEAD and leaves it unread: a stream would wait for a reader for ever.
  if (c.req.raw.method === "HEAD") await c.res.body?.cancel();
  if (target === null) await holdRefusal(c);
  await takeRest(c.req.raw);
}

async function answerPage(c: RouteContext): Promise<Response> {
  if (c.req.raw.method !== "GET" && c.req.raw.method !== "HEAD") {
    return refuse(c, { kind: "method_not_allowed", allow: "GET" });
  }
  return (await showPage(c)) ?? refuse(c, NO_ROUTE);
}

/** The text of an unexpected error is for the operator to read, not for the client. */
function answerCrash(c: RouteContext, error: unknown): Response {
  const text = error instanceof Error ? (error.stack ?? String(error)) : String(error);
  log("request_crashed", { requestId: c.get("requestId"), error: text });
  const isManagement = MANAGEMENT_PATH.test(c.req.path);
  return isManagement ? crashAsProblem(c.get("requestId")) : crashAnswer(c.get("requestId"));
}

/**
 * Writes one line when the answer has gone out; for an answer that goes on (`answering`), when that is over. Writing
 * the line takes longer than many an answer takes from its first byte to its last.
 */
async function logAnswered(c: RouteContext, startedMs: number): Promise<void> {
  await c.get("answering")?.catch(() => undefined);
  const tookMs = Date.now() - startedMs;
  // The runtime sends the last bytes only when this turn is over.
  await scheduler.wait(0);
  log("request", { requestId: c.get("requestId"), method: c.req.method, status: c.res.status, tookMs });
}

const RUNPOD_MANAGEMENT = new RegExp(`^/v2(?:/(?:${[...RESERVED_NAMES].join("|")}|openapi\\.json)(?:/.*)?)?$`);
const MANAGEMENT_PATH = new RegExp(`^/v1(?:/|$)|${RUNPOD_MANAGEMENT.source}`);

/** How the clients of a path read a failure, for failures that belong to no route. */
function refusalAt(path: string): (c: RouteContext, failure: Failure) => Response {
  if (/^\/v2\/[^/]+\/openai(?:\/|$)/.test(path)) return refuseOpenAi;
  if (RUNPOD_MANAGEMENT.test(path)) return refuseAsRunPodProblem;
  return MANAGEMENT_PATH.test(path) ? refuseAsProblem : refuse;
}
