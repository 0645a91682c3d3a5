// The driver of a provider, by its kind.
import type { ProviderCall, StoredProvider } from "../contract/fleet.ts";
import type { CallDeps, Driver, MachinePlan } from "./driver.ts";
import { HookDriver } from "./hook.ts";
import { NoneDriver } from "./none.ts";
import { RunpodDriver } from "./runpod.ts";

export interface DriverPlace extends Pick<ProviderCall, "endpointId" | "desired"> {
  readonly provider: Pick<StoredProvider, "kind" | "url" | "offers">;
  /** Opened; null: it has none. */
  readonly credential: string | null;
  /** Null: no machine can be made. */
  readonly plan: MachinePlan | null;
  /** The port of load-balanced workers that are made now; null: its workers fetch jobs. */
  readonly httpPort: number | null;
}

/** The driver, or what of the provider is missing, as a sentence. */
export function makeDriver(
  place: DriverPlace,
  deps: CallDeps,
): { readonly ok: true; readonly driver: Driver } | { readonly ok: false; readonly problem: string } {
  const { provider, credential, plan, endpointId, desired, httpPort } = place;
  const { kind, url, offers } = provider;
  switch (kind) {
    case "none":
      return { ok: true, driver: new NoneDriver(offers) };
    case "webhook":
    case "local":
      if (url === null) return { ok: false, problem: "The provider has no url: set the address of its hook." };
      if (credential === null)
        return {
          ok: false,
          problem: "The provider has no credential: set the secret that signs what its hook is sent.",
        };
      return { ok: true, driver: new HookDriver({ url, secret: credential, endpointId, desired, plan }, deps) };
    case "runpod":
      if (credential === null)
        return { ok: false, problem: "The provider has no credential: set an API key of RunPod." };
      return { ok: true, driver: new RunpodDriver({ url, apiKey: credential, endpointId, httpPort }, deps) };
  }
}
