// POST /v2/:endpoint/run.
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { EndpointCall } from "../kit/enter.ts";
import type { Answered } from "../kit/route.ts";
import { submit } from "./submit.ts";

/** Exactly 200 and exactly `{id, status}`: the JavaScript client takes anything else for a failure. */
export async function run(c: RouteContext, call: EndpointCall): Promise<Answered> {
  const submitted = await submit(c, call, "run", null);
  if (submitted.ok) {
    const { id, status } = submitted.value.job;
    return jsonAnswer(200, { id, status }, c.get("requestId"));
  }
  const { failure } = submitted;
  if (failure.kind !== "idempotency_gone") return submitted;
  return jsonAnswer(200, { id: failure.jobId, status: failure.status }, c.get("requestId"));
}
