// The workers and upstreams of an endpoint, as its broker has them.
import type { WorkerView } from "../contract/worker.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { BrokerClient } from "../dispatch/broker-client.ts";
import { pushSettings } from "./push.ts";

/** A broker that was never called has no settings yet, and so neither knows its owner nor its upstreams: it is sent them first. */
export async function listWorkers(
  env: Env,
  { id, tenantId }: { readonly id: string; readonly tenantId: string },
): Promise<Result<readonly WorkerView[]>> {
  const ask = () => new BrokerClient(env, id).call("listWorkers", { tenantId });
  const first = await ask();
  if (!first.ok) return first;
  if (first.value !== null) return ok(first.value);
  await pushSettings(env, id);
  const second = await ask();
  if (!second.ok) return second;
  return second.value === null
    ? fail({ kind: "unavailable", message: "the endpoint did not answer" })
    : ok(second.value);
}
