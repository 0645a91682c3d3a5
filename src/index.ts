// The entry of the Worker: requests, queues, the cron, and the objects and entrypoints that the platform starts.
import { repairBrokers } from "./consumers/repair.ts";
import { sweepFleets } from "./consumers/sweep-fleets.ts";
import { consume } from "./consumers/wake-ups.ts";
import { createApp } from "./http/app.ts";

export { TenantAccount } from "./account/tenant-account.ts";
export { EndpointBroker } from "./broker/endpoint-broker.ts";
export { Carrier } from "./dispatch/carrier.ts";
export { Prober } from "./dispatch/prober.ts";
export { WebhookSender } from "./dispatch/webhook-sender.ts";
export { FleetOperator } from "./fleet/fleet-operator.ts";

const app = createApp();

export default {
  fetch: (request, env, ctx) => app.fetch(request, env, ctx),
  queue: (batch, env) => consume(batch, env),
  scheduled: async ({ scheduledTime }, env) => {
    await repairBrokers(env);
    await sweepFleets(env, scheduledTime);
  },
} satisfies ExportedHandler<Env>;
