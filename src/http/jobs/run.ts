// POST /v2/:endpoint/run.
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { EndpointCall } from "../kit/enter.ts";
import type { Answered } from "../kit/route.ts";
import { submitJob } from "../kit/submit-job.ts";
import { RUNPOD } from "./dialect.ts";

/**
 * Answers exactly 200 with exactly `{id, status}`, because the JavaScript client treats anything else as a failure. The
 * status of a new job is IN_QUEUE, as RunPod's is, also where a worker has it already; a repeated call gets the present one.
 */
export async function run(c: RouteContext, call: EndpointCall): Promise<Answered> {
  const submitted = await submitJob(c, call, RUNPOD, { mode: "run", waitMs: null });
  if (submitted.ok) {
    const { created, job } = submitted.value;
    return jsonAnswer(200, { id: job.id, status: created ? "IN_QUEUE" : job.status }, c.get("requestId"));
  }
  const { failure } = submitted;
  if (failure.kind !== "idempotency_gone") return submitted;
  return jsonAnswer(200, { id: failure.jobId, status: failure.status }, c.get("requestId"));
}
