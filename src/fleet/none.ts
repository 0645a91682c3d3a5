// The provider that makes nothing and tells what it would make: for trying settings of a fleet without paying for machines.
import type { CalledMachine, Offer } from "../contract/fleet.ts";
import type { ProviderAnswer } from "../core/fleet/provider.ts";
import type { Driver, MachinePlan } from "./driver.ts";
import { dollarText } from "./price.ts";

export class NoneDriver implements Driver {
  readonly #offers: readonly Offer[];

  constructor(offers: readonly Offer[]) {
    this.#offers = offers;
  }

  async create({ gpuTypeId, endsAtMs }: CalledMachine, { worker }: MachinePlan): Promise<ProviderAnswer> {
    const offer = this.#offers.find((one) => one.gpuTypeId === gpuTypeId);
    const price =
      offer === undefined ? "at a price that is not known" : `for ${dollarText(offer.priceNanodollarsPerHour)} an hour`;
    const until = new Date(endsAtMs).toISOString();
    const machine = `a machine with ${worker.gpuCount} × ${gpuTypeId} ${price}, until ${until} at the latest`;
    const detail = `This provider makes nothing. It would have made ${machine}, and started ${worker.image} on it.`;
    return { kind: "no_capacity", detail };
  }

  async start(): Promise<ProviderAnswer> {
    return { kind: "gone" };
  }

  async stop(): Promise<ProviderAnswer> {
    return { kind: "gone" };
  }

  async end(): Promise<ProviderAnswer> {
    return { kind: "gone" };
  }

  async list(): Promise<ProviderAnswer> {
    return { kind: "listed", instances: [] };
  }
}
