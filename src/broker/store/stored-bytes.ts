// Bytes that the rows of a job take: what counts into its tenant's share of the endpoint.
import type { SubmitCall } from "../../contract/broker.ts";
import type { StoredBytes } from "../../core/job/job.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";

export function sumOf({ input, output, chunks }: StoredBytes): number {
  return input + output + chunks;
}

/** A payload in R2 takes no room in the object. */
function bytesOfPayload(payload: PayloadRef | null): number {
  return payload?.kind === "inline" ? payload.bytes.byteLength : 0;
}

export function bytesOfSubmit(call: Pick<SubmitCall, "fields" | "webhook" | "input">): StoredBytes {
  const texts = JSON.stringify(call.fields) + (call.webhook === null ? "" : JSON.stringify(call.webhook));
  return { input: new TextEncoder().encode(texts).length + bytesOfPayload(call.input), output: 0, chunks: 0 };
}

/** `output` undefined: the output is as it was. `streamed`: bytes of an attempt that has ended now. */
export function bytesAfter(
  before: StoredBytes,
  change: { readonly output: PayloadRef | null | undefined; readonly streamed: number; readonly isRetry: boolean },
): StoredBytes {
  return {
    input: before.input,
    output: change.output === undefined ? before.output : bytesOfPayload(change.output),
    // A new round begins without the chunks of the one before.
    chunks: change.isRetry ? 0 : before.chunks + change.streamed,
  };
}
