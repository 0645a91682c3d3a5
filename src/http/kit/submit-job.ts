// A job on its way to the broker: one call, with the settings at hand if the broker is behind. An input that was stored and
// that no job took is deleted.
import { callBroker } from "../../broker/stub.ts";
import type { BrokerApi, SubmitCall, Submitted } from "../../contract/broker.ts";
import type { EndpointSettings } from "../../contract/settings.ts";
import type { Result } from "../../core/failure.ts";
import { fail } from "../../core/failure.ts";
import { flatten } from "./routing.ts";
import { dropInput } from "./submit-body.ts";

/** Hands the job to the broker. */
export async function submitJob(env: Env, settings: EndpointSettings, call: SubmitCall): Promise<Result<Submitted>> {
  const submitted = await callSubmit(env, settings, call);
  if (!isTaken(submitted, call.jobId)) await dropInput(call.input, env.PAYLOADS);
  return submitted;
}

/** May the broker hold the input stored for this id? When it did not answer it may: then a sweep decides later. */
function isTaken(submitted: Result<Submitted>, jobId: string): boolean {
  if (submitted.ok) return submitted.value.job.id === jobId;
  return submitted.failure.kind === "unavailable";
}

/** One call; a broker that is behind is sent the settings at hand and asked once more. */
async function callSubmit(env: Env, settings: EndpointSettings, call: SubmitCall): Promise<Result<Submitted>> {
  const ask = async (broker: BrokerApi): Promise<Result<Submitted>> => {
    const first = await broker.submit(call);
    if (first.ok || first.failure.kind !== "settings_behind") return first;
    await broker.configure(settings);
    const second = await broker.submit(call);
    if (second.ok || second.failure.kind !== "settings_behind") return second;
    return fail({ kind: "unavailable", message: "the endpoint is changing its settings" });
  };
  return flatten(await callBroker(env, settings.endpointId, ask, { idempotent: true }));
}
