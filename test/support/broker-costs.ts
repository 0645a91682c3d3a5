// What an endpoint's broker has cost since the object began, by its own meter.
import { inBroker } from "./kept-jobs.ts";

export function costsOf(endpointId: string): Promise<{ readonly rowsWritten: number; readonly alarmsSet: number }> {
  return inBroker(endpointId, ({ meter: { rowsWritten, alarmsSet } }) => ({ rowsWritten, alarmsSet }));
}
