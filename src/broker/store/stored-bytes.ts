// Bytes that the rows of a job take: what counts into its tenant's share of the endpoint.
import type { SubmitCall } from "../../contract/broker.ts";
import { utf8Length } from "../../core/bytes/utf8.ts";
import type { StoredBytes } from "../../core/job/job.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";

export function sumOf({ input, output, chunks }: StoredBytes): number {
  return input + output + chunks;
}

/** A payload in R2 takes no room in the object. */
function bytesOfPayload(payload: PayloadRef | null): number {
  return payload?.kind === "inline" ? payload.bytes.byteLength : 0;
}

/** A shorter error is not counted, like the other facts of a row: their size is bounded by the number of rows. */
const ERROR_COUNTED_FROM_BYTES = 4_096;

/** The text of a failure; null: there is none. */
export function bytesOfError(text: string | null): number {
  const bytes = text === null ? 0 : utf8Length(text);
  return bytes < ERROR_COUNTED_FROM_BYTES ? 0 : bytes;
}

export function bytesOfSubmit(call: Pick<SubmitCall, "fields" | "webhook" | "input">): StoredBytes {
  const texts = JSON.stringify(call.fields) + (call.webhook === null ? "" : JSON.stringify(call.webhook));
  return { input: utf8Length(texts) + bytesOfPayload(call.input), output: 0, chunks: 0 };
}

/**
 * `output` undefined: the output is as it was. `error`: the text of the failure with which the job has ended now, which
 * counts as its output. `streamed`: bytes of an attempt that has ended now.
 */
export function bytesAfter(
  before: StoredBytes,
  change: {
    readonly output: PayloadRef | null | undefined;
    readonly error: string | null;
    readonly streamed: number;
    readonly isRetry: boolean;
  },
): StoredBytes {
  const output = change.output === undefined ? before.output : bytesOfPayload(change.output);
  return {
    input: before.input,
    output: output + bytesOfError(change.error),
    // A new round begins without the chunks of the one before.
    chunks: change.isRetry ? 0 : before.chunks + change.streamed,
  };
}
