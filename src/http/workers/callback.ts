// The route that a `runpod` upstream calls back. The call is only a wake-up: the carrier of the job polls the upstream
// itself, so the posted body is not used, and if a callback never comes, the only loss is the wait for the next poll.
import { readConfig } from "../../config.ts";
import { fail } from "../../core/failure.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { isGenuineCallback } from "../../dispatch/callback-mac.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { Answered } from "../kit/route.ts";

/** Always answers 200: an upstream that gets an error would call again, and would learn which jobs exist. */
export async function callback(c: RouteContext): Promise<Answered> {
  const { endpoint = "", job = "", lease = "", mac = "" } = c.req.param();
  const call = { endpointId: endpoint, jobId: job, lease };
  // Anybody may call, so nothing is looked up without our own MAC, which proves that the endpoint's id existed.
  if (!(await isGenuineCallback(readConfig(c.env).pepper, call, mac))) return fail({ kind: "not_found" });
  await new BrokerClient(c.env, endpoint).call("nudge", { jobId: job, lease });
  return jsonAnswer(200, { ok: true }, c.get("requestId"));
}
