// OpenAI's API as the edge reads it: any request of a client to the server behind the endpoint, if its route is open.
import { openAiOrigin } from "../../contract/openai-origin.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { RUNSYNC_BODY_MAX_BYTES } from "../../core/limits.ts";
import { passedHeaders } from "../../core/openai/passed-headers.ts";
import { allowsRoute, routesInForce } from "../../core/openai/routes.ts";
import { keepsNothing } from "../../core/openai/stored-responses.ts";
import { bodyProblem, targetProblem } from "../../core/openai/target.ts";
import { readKey } from "../kit/auth.ts";
import type { ClientDialect, WantedJob } from "../kit/client-dialect.ts";
import { bodyStreamOf } from "../kit/request-body.ts";
import { readOpenAiBody } from "./body.ts";
import { refuseOpenAi } from "./errors.ts";

export const OPENAI: ClientDialect = { readKey, readJob, refuse: refuseOpenAi };

/** A HEAD gets no body, and a worker can answer neither TRACE nor CONNECT. */
const METHODS = new Set(["GET", "POST", "PUT", "PATCH", "DELETE"]);
const NO_WISHES = { executionTimeoutMs: null, ttlMs: null, lowPriority: false };

async function readJob(
  ...[c, { caller, settings }, { key }]: Parameters<ClientDialect["readJob"]>
): Promise<Result<WantedJob>> {
  const { method } = c.req.raw;
  if (!METHODS.has(method)) return fail({ kind: "method_not_allowed", allow: [...METHODS].join(", ") });
  const routes = routesInForce(settings);
  const { search: query } = new URL(c.req.raw.url);
  // A client's base URL puts "/v2/<endpoint>/openai" before the server's own path.
  const path = `/${c.req.path.split("/").slice(4).join("/")}`;
  // Checked for every kind of worker: in an endpoint with two kinds it is chance which kind of worker takes the job.
  if (!allowsRoute(routes, method, path)) {
    return fail({ kind: "route_closed", method, path, endpointId: settings.endpointId });
  }
  const type = c.req.raw.headers.get("content-type") ?? "application/json";
  const passed = passedHeaders((name) => c.req.raw.headers.get(name));
  const problem =
    targetProblem(path, query) ?? bodyProblem(method, bodyStreamOf(c.req.raw) === null ? null : type) ?? passed.problem;
  if (problem !== null) return fail({ kind: "invalid", ...problem });
  const limits = { bucket: c.env.PAYLOADS, key, maxBytes: RUNSYNC_BODY_MAX_BYTES };
  const body = await readOpenAiBody(c.req.raw, { ...limits, path, keepsNothing: keepsNothing(routes, path) });
  if (!body.ok) return body;
  const { input, ...asked } = body.value;
  const headers = await ofTenant(passed.headers, caller.tenantId);
  const origin = openAiOrigin({
    method,
    path,
    query,
    ...asked,
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
  });
  return ok({ input, fields: {}, policy: NO_WISHES, webhookUrl: null, idempotency: null, origin });
}

/** All tenants are one caller to the server: without this the key of one could bring another one's answer. */
async function ofTenant(
  headers: Readonly<Record<string, string>>,
  tenantId: string,
): Promise<Readonly<Record<string, string>>> {
  const { "idempotency-key": key, ...others } = headers;
  if (key === undefined) return headers;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify([tenantId, key])));
  return { ...others, "idempotency-key": new Uint8Array(digest).toHex() };
}
