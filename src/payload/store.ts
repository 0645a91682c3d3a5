// Stored payloads by their reference.
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { PayloadSink, type SinkFailure, type SinkOptions } from "./sink.ts";

/** Stores bytes in memory where a payload of their size belongs. */
export async function storeBytes(bytes: Uint8Array, options: SinkOptions): Promise<PayloadRef | SinkFailure> {
  const sink = new PayloadSink(options);
  return (await sink.write(bytes)) ?? (await sink.finish());
}

/** Deletes the R2 object of a payload that lost or ended; an inline one has none. Throws when R2 does not answer. */
export async function deletePayload(ref: PayloadRef, bucket: R2Bucket): Promise<void> {
  if (ref.kind === "r2") await bucket.delete(ref.key);
}
