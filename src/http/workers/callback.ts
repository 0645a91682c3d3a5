// Where a `runpod` upstream calls back. The call is a wake-up and never the truth: whoever carries the job looks at the upstream
// itself, so nothing that is posted here is believed, and a callback that never comes only costs the wait for the next look.
import { readConfig } from "../../config.ts";
import { fail } from "../../core/failure.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { isGenuineCallback } from "../../dispatch/callback-mac.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { Answered } from "../kit/route.ts";

/** 200 whatever becomes of it: an upstream that is told no would call again, and learn what is there. */
export async function callback(c: RouteContext): Promise<Answered> {
  const { endpoint = "", job = "", lease = "", mac = "" } = c.req.param();
  const call = { endpointId: endpoint, jobId: job, lease };
  // Anybody may call: without our own MAC nothing is asked, and its endpoint is an id that was there.
  if (!(await isGenuineCallback(readConfig(c.env).pepper, call, mac))) return fail({ kind: "not_found" });
  await new BrokerClient(c.env, endpoint).call("nudge", { jobId: job, lease });
  return jsonAnswer(200, { ok: true }, c.get("requestId"));
}
