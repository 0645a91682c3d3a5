// Reads a job's chunks from the broker for the code that answers its client: pages, each from the reader's place.
import type { StreamPage } from "../../contract/stream.ts";
import type { Result } from "../../core/failure.ts";
import type { StreamCursor } from "../../core/job/stream-cursor.ts";
import type { BrokerClient } from "../../dispatch/broker-client.ts";
import { askHeld } from "./held.ts";

export interface StreamRead {
  readonly broker: BrokerClient;
  readonly tenantId: string;
  readonly jobId: string;
}

/** One page of chunks after a place; the broker holds the call until there is one. */
export async function readPage(
  { broker, tenantId, jobId }: StreamRead,
  after: StreamCursor | "drained",
  holdMs: number,
): Promise<Result<StreamPage>> {
  return askHeld(holdMs, (heldMs) => broker.call("readStream", { tenantId, jobId, after, holdMs: heldMs }));
}

/** The first page for a reader that stays until the job is over. Refused if its tenant has too many such readers. */
export async function enterStream(
  { broker, tenantId, jobId }: StreamRead,
  after: StreamCursor,
): Promise<Result<StreamPage>> {
  return broker.call("readStream", { tenantId, jobId, after, holdMs: 0, stays: true });
}
