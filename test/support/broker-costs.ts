// What an endpoint's broker has cost since the object began, by its own meter.
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { EndpointBroker } from "../../src/broker/endpoint-broker.ts";

export function costsOf(endpointId: string): Promise<{ readonly rowsWritten: number; readonly alarmsSet: number }> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (object) => {
    if (!(object instanceof EndpointBroker)) throw new Error("no broker");
    const { rowsWritten, alarmsSet } = object.meter;
    return { rowsWritten, alarmsSet };
  });
}
