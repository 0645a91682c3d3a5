// Whose jobs of an endpoint a call of /v1 is about, and the broker that has them.
import { ok, type Result } from "../../core/failure.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { readEndpoint } from "../../manage/endpoints.ts";
import type { EndpointParams } from "../kit/endpoint-params.ts";
import { findEndpoint } from "../kit/find-endpoint.ts";
import type { OperationCall } from "../kit/operation.ts";
import { askedTenant } from "./owner.ts";

/** The caller's own jobs, or with the scope admin those of the tenant that is asked for, else of the endpoint's own. */
export async function findTenantJobs(
  { caller, env, nowMs, params }: OperationCall<EndpointParams, unknown, unknown>,
  asked: string | undefined,
): Promise<Result<{ readonly broker: BrokerClient; readonly tenantId: string }>> {
  if (!caller.scopes.includes("admin")) {
    const tenantId = askedTenant(caller, asked);
    if (!tenantId.ok) return tenantId;
    const found = await findEndpoint(params.endpoint, caller, env, nowMs);
    if (!found.ok) return found;
    const { settings } = found.value;
    return ok({ broker: new BrokerClient(env, settings.endpointId, settings), tenantId: tenantId.value });
  }
  const found = await readEndpoint({ env, caller }, null, params.endpoint);
  if (!found.ok) return found;
  return ok({ broker: new BrokerClient(env, found.value.id), tenantId: asked ?? found.value.tenantId });
}
