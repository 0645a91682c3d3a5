// The entrypoints and objects that a broker calls (accounts, the edge too), typed by their contracts. Only here are
// casts: the platform's types derive these from the exports of index.ts, which this layer must not import.
import type { WebhookSenderApi } from "../contract/broker.ts";
import type { CarrierApi } from "../contract/dispatch.ts";
import type { FleetOperatorApi } from "../contract/fleet.ts";
import type { ProberApi } from "../contract/load-balancer.ts";
import type { AccountApi } from "../contract/usage.ts";

interface Entrypoints {
  readonly Carrier: CarrierApi;
  readonly WebhookSender: WebhookSenderApi;
  readonly Prober: ProberApi;
  readonly FleetOperator: FleetOperatorApi;
}

export function entrypoints(ctx: DurableObjectState): Entrypoints {
  return ctx.exports as unknown as Entrypoints;
}

export function accountOf(env: Env, tenantId: string): AccountApi {
  return env.TENANT_ACCOUNT.getByName(tenantId) as unknown as AccountApi;
}
