// Whose jobs of an endpoint a call of /v1 is about, and the broker that has them.
import { ok, type Result } from "../../core/failure.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { readEndpoint } from "../../manage/endpoints.ts";
import type { EndpointParams } from "../kit/endpoint-params.ts";
import { findEndpoint } from "../kit/find-endpoint.ts";
import type { OperationCall } from "../kit/operation.ts";
import { askedTenant } from "./owner.ts";

interface TenantJobs {
  readonly broker: BrokerClient;
  readonly tenantId: string;
  /** The endpoint is the caller's tenant's. */
  readonly isOwn: boolean;
}

type Call = OperationCall<EndpointParams, unknown, unknown>;

/** The caller's own jobs, or with the scope admin those of the tenant that is asked for, else of the endpoint's own. */
export async function findTenantJobs(
  { caller, env, nowMs, params }: Call,
  asked: string | undefined,
): Promise<Result<TenantJobs>> {
  if (!caller.scopes.includes("admin")) {
    const tenantId = askedTenant(caller, asked);
    if (!tenantId.ok) return tenantId;
    const found = await findEndpoint(params.endpoint, caller, env, nowMs);
    if (!found.ok) return found;
    const { settings } = found.value;
    const isOwn = settings.tenantId === caller.tenantId;
    const broker = new BrokerClient(env, settings.endpointId, settings);
    return ok({ broker, tenantId: tenantId.value, isOwn });
  }
  const found = await readEndpoint({ env, caller }, null, params.endpoint);
  if (!found.ok) return found;
  const { id, tenantId } = found.value;
  const isOwn = tenantId === caller.tenantId;
  return ok({ broker: new BrokerClient(env, id), tenantId: asked ?? tenantId, isOwn });
}

/**
 * The same as D1 has it at this moment. A slug may have passed from one of the tenant's endpoints to another: its jobs must not be those
 * that are cancelled, in the up to 30 s in which an isolate still knows the slug as that of the former one.
 */
export async function findTenantJobsNow(call: Call, asked: string | undefined): Promise<Result<TenantJobs>> {
  const found = await findTenantJobs(call, asked);
  const { caller, env, params } = call;
  if (caller.scopes.includes("admin") || (!found.ok && found.failure.kind !== "not_found")) return found;
  const own = await readEndpoint({ env, caller }, caller.tenantId, params.endpoint);
  if (own.ok) return ok({ broker: new BrokerClient(env, own.value.id), tenantId: caller.tenantId, isOwn: true });
  // A public endpoint of another tenant, whose slug is that tenant's matter.
  return found.ok && !found.value.isOwn && own.failure.kind === "not_found" ? found : own;
}
