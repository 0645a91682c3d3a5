// Where a `runpod` upstream calls back. The call is a wake-up and never the truth: whoever carries the job looks at the upstream
// itself, so nothing that is posted here is believed, and a callback that never comes only costs the wait for the next look.
import type { Hono } from "hono";
import { callBroker } from "../broker/stub.ts";
import { parseJobId } from "../core/job-id.ts";
import { jsonAnswer } from "./answer.ts";
import { findEndpointId } from "./endpoints.ts";
import { type RouteContext, type Routing, refuse } from "./routing.ts";

const LEASE = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Adds the route; the lease in the path is all that lets a caller in. */
export function addCallbackRoutes(app: Hono<Routing>): void {
  app.post("/v2/:endpoint/callback/:job/:lease", callback);
}

/** 200 whatever becomes of it: an upstream that is told no would call again, and learn what is there. */
async function callback(c: RouteContext): Promise<Response> {
  const jobId = c.req.param("job") ?? "";
  const lease = c.req.param("lease") ?? "";
  // Anybody may call, so nothing is guessed while D1 is down: the next look at the upstream does as well.
  const endpointId = await findEndpointId(c.req.param("endpoint") ?? "", c.env, null);
  if (endpointId === null || parseJobId(jobId) === null || !LEASE.test(lease)) {
    return refuse(c, { kind: "not_found" });
  }
  await callBroker(c.env, endpointId, (broker) => broker.nudge({ jobId, lease }), { idempotent: true });
  return jsonAnswer(200, { ok: true }, c.get("requestId"));
}
