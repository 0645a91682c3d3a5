// The entrypoint that a broker starts for each call to a provider of machines. It is stateless: the broker has the records, and stores
// what it asks for before it asks.
import { WorkerEntrypoint } from "cloudflare:workers";
import { readConfig } from "../config.ts";
import type { FleetOperatorApi, ProviderCall } from "../contract/fleet.ts";
import type { ProviderAnswer } from "../core/fleet/provider.ts";
import { operate } from "./operate.ts";

export class FleetOperator extends WorkerEntrypoint<Env> implements FleetOperatorApi {
  /** Answers within 30 s. waitUntil keeps the call running if the object that called is aborted: half a create helps nobody. */
  async operate(call: ProviderCall): Promise<ProviderAnswer> {
    const work = operate(call, { db: this.env.DB, config: readConfig(this.env), now: Date.now });
    this.ctx.waitUntil(work);
    return await work;
  }
}
