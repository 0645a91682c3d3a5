// A job's chunks as whoever answers its client asks the broker for them: a page at a time, each from the reader's own place.
import { callBroker } from "../../broker/stub.ts";
import type { StreamPage } from "../../contract/stream.ts";
import type { Result } from "../../core/failure.ts";
import type { StreamCursor } from "../../core/job/stream-cursor.ts";
import { askHeld } from "./held.ts";
import { flatten } from "./routing.ts";

export interface StreamRead {
  readonly endpointId: string;
  readonly tenantId: string;
  readonly jobId: string;
}

/** One page of chunks after a place, held by the broker until there is one. */
export async function readPage(
  env: Env,
  { endpointId, tenantId, jobId }: StreamRead,
  after: StreamCursor | "drained",
  holdMs: number,
): Promise<Result<StreamPage>> {
  const call = { tenantId, jobId, after };
  return askHeld(holdMs, async (heldMs) =>
    flatten(
      await callBroker(env, endpointId, (broker) => broker.readStream({ ...call, holdMs: heldMs }), {
        idempotent: true,
      }),
    ),
  );
}

/** What is there for a reader that stays until the job is over. It is refused where its tenant has too many of them. */
export async function enterStream(
  env: Env,
  { endpointId, tenantId, jobId }: StreamRead,
  after: StreamCursor,
): Promise<Result<StreamPage>> {
  const call = { tenantId, jobId, after, holdMs: 0, stays: true };
  return flatten(await callBroker(env, endpointId, (broker) => broker.readStream(call), { idempotent: true }));
}
