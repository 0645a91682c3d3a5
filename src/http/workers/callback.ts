// Where a `runpod` upstream calls back. The call is a wake-up and never the truth: whoever carries the job looks at the upstream
// itself, so nothing that is posted here is believed, and a callback that never comes only costs the wait for the next look.
import type { Hono } from "hono";
import { callBroker } from "../../broker/stub.ts";
import { readConfig } from "../../config.ts";
import { isGenuineCallback } from "../../dispatch/callback-mac.ts";
import { jsonAnswer } from "../kit/answer.ts";
import { type RouteContext, type Routing, refuse } from "../kit/routing.ts";

/** Adds the route; the MAC at the end of the path is all that lets a caller in. */
export function addCallbackRoutes(app: Hono<Routing>): void {
  app.post("/v2/:endpoint/callback/:job/:lease/:mac", callback);
}

/** 200 whatever becomes of it: an upstream that is told no would call again, and learn what is there. */
async function callback(c: RouteContext): Promise<Response> {
  const { endpoint = "", job = "", lease = "", mac = "" } = c.req.param();
  const call = { endpointId: endpoint, jobId: job, lease };
  // Anybody may call: without our own MAC nothing is asked, and its endpoint is an id that was there.
  if (!(await isGenuineCallback(readConfig(c.env).pepper, call, mac))) return refuse(c, { kind: "not_found" });
  const nudge = { jobId: job, lease };
  await callBroker(c.env, call.endpointId, (broker) => broker.nudge(nudge), { idempotent: true });
  return jsonAnswer(200, { ok: true }, c.get("requestId"));
}
