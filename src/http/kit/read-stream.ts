// Reads a job's chunks from the broker for the code that answers its client: pages, each from the reader's place.
import type { JobCall } from "../../contract/job-view.ts";
import type { StreamPage } from "../../contract/stream.ts";
import type { Result } from "../../core/failure.ts";
import type { StreamCursor } from "../../core/job/stream-cursor.ts";
import type { BrokerClient } from "../../dispatch/broker-client.ts";
import { askHeld } from "./held.ts";

export interface StreamRead extends JobCall {
  readonly broker: BrokerClient;
}

/** One page of chunks after a place; the broker holds the call until there is one. */
export async function readPage(
  { broker, ...job }: StreamRead,
  after: StreamCursor | "drained",
  holdMs: number,
): Promise<Result<StreamPage>> {
  return askHeld(holdMs, (heldMs) => broker.call("readStream", { ...jobOf(job), after, holdMs: heldMs }));
}

/** The first page for a reader that stays until the job is over. Refused if its tenant has too many such readers. */
export async function enterStream({ broker, ...job }: StreamRead, after: StreamCursor): Promise<Result<StreamPage>> {
  return broker.call("readStream", { ...jobOf(job), after, holdMs: 0, stays: true });
}

/** A reader may have more than the call takes, such as what an OpenAI client is answered by. */
function jobOf({ tenantId, jobId, tokenId }: JobCall): JobCall {
  return { tenantId, jobId, tokenId };
}
