// A job on its way to the broker. An input that was stored and that no job took is deleted.
import type { SubmitCall, Submitted } from "../../contract/broker.ts";
import type { Result } from "../../core/failure.ts";
import type { BrokerClient } from "../../dispatch/broker-client.ts";
import { dropInput } from "./submit-body.ts";

/** Hands the job to the broker. */
export async function submitJob(env: Env, broker: BrokerClient, call: SubmitCall): Promise<Result<Submitted>> {
  const submitted = await broker.call("submit", call);
  if (!isTaken(submitted, call.jobId)) await dropInput(call.input, env.PAYLOADS);
  return submitted;
}

/** May the broker hold the input stored for this id? When it did not answer it may: then a sweep decides later. */
function isTaken(submitted: Result<Submitted>, jobId: string): boolean {
  if (submitted.ok) return submitted.value.job.id === jobId;
  return submitted.failure.kind === "unavailable";
}
