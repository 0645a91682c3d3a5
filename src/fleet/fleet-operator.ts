import { WorkerEntrypoint } from "cloudflare:workers";
import type { FleetOperatorApi, ProviderCall } from "../contract/fleet.ts";
import type { ProviderAnswer } from "../core/fleet/provider.ts";

export class FleetOperator extends WorkerEntrypoint<Env> implements FleetOperatorApi {
  async operate(_call: ProviderCall): Promise<ProviderAnswer> {
    throw new Error("not merged yet");
  }
}
