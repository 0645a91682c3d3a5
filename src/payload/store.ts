// Stored payloads by their reference.
import type { PayloadRef } from "../core/json/payload-ref.ts";

/** Deletes the R2 object of a payload that lost or ended; an inline one has none. Throws when R2 does not answer. */
export async function deletePayload(ref: PayloadRef, bucket: R2Bucket): Promise<void> {
  if (ref.kind === "r2") await bucket.delete(ref.key);
}
