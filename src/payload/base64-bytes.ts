// Decodes a payload that is a JSON string of base64, piece by piece, because the text of a large body and its bytes
// together would take half of an isolate's memory.
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { decodeBase64 } from "./base64.ts";
import { readBody } from "./body-reader.ts";
import { type SplicedBody, spliceBody, storageFailed } from "./splice.ts";

const GROUP_CHARS = 4;
const GROUP_BYTES = 3;
/** The quotes at both ends of the string. */
const QUOTES_BYTES = 2;
/** The end of the string: at most two characters of padding, and the quote. */
const END_BYTES = 3;

/** Returns the same as spliceBody. The payload must be one that readBase64 made. */
export async function bytesOfBase64(payload: PayloadRef, bucket: R2Bucket): Promise<SplicedBody> {
  if (payload.kind === "inline") {
    const body = decode(new TextDecoder().decode(payload.bytes).slice(1, -1));
    return { kind: "ok", body, sizeBytes: body.length };
  }
  const { key, sizeBytes: stringBytes } = payload;
  let end: string;
  try {
    const object = await bucket.get(key, { range: { suffix: END_BYTES } });
    if (object === null) return { kind: "missing", key };
    end = await object.text();
  } catch (reason) {
    return storageFailed(reason);
  }
  const spliced = await spliceBody([payload], bucket);
  if (spliced.kind !== "ok" || spliced.body instanceof Uint8Array) return spliced;
  const paddingChars = end.split("=").length - 1;
  const sizeBytes = ((stringBytes - QUOTES_BYTES) / GROUP_CHARS) * GROUP_BYTES - paddingChars;
  const { readable, writable } = new FixedLengthStream(sizeBytes);
  void pour(spliced.body, writable);
  return { kind: "ok", body: readable, sizeBytes };
}

/** Writes as fast as the reader takes the bytes. If the reader leaves or R2 fails, both sides are ended. */
async function pour(source: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>): Promise<void> {
  const reader = readBody(source);
  const writer = writable.getWriter();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (let piece = await reader.next(); piece !== null; piece = await reader.next()) {
      const text = rest + decoder.decode(piece).replaceAll('"', "");
      const whole = text.length - (text.length % GROUP_CHARS);
      rest = text.slice(whole);
      if (whole > 0) await writer.write(decode(text.slice(0, whole)));
    }
    await writer.close();
  } catch (error) {
    reader.cancel();
    await writer.abort(error).catch(() => undefined);
  }
}

function decode(base64: string): Uint8Array {
  const bytes = decodeBase64(base64);
  if (bytes === null) throw new Error("the stored body is no base64");
  return bytes;
}
