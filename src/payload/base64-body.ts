// Reads a posted body of any kind as a JSON string of its base64: payloads are JSON values, whatever their client has sent.
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { Base64Encoder } from "./base64.ts";
import { readBody } from "./body-reader.ts";
import type { BodySource, ReadFailure, ValueOptions } from "./envelope.ts";
import { PayloadSink, type SinkFailure } from "./sink.ts";

/** `maxBytes` bounds the body, not its base64. After a failure nothing is left in R2. */
export async function readBase64(
  stream: NonNullable<BodySource>,
  options: ValueOptions,
): Promise<{ readonly kind: "ok"; readonly payload: PayloadRef } | ReadFailure> {
  const sink = new PayloadSink({ ...options, maxBytes: 2 * options.maxBytes });
  const text = new TextEncoder();
  const base64 = new Base64Encoder();
  const reader = readBody(stream);
  const stop = async (failure: ReadFailure): Promise<ReadFailure> => {
    reader.cancel();
    await sink.abort();
    return failure;
  };
  let totalBytes = 0;
  let failure: SinkFailure | null = await sink.write(text.encode('"'));
  try {
    for (let chunk = await reader.next(); chunk !== null; chunk = await reader.next()) {
      totalBytes += chunk.length;
      if (totalBytes > options.maxBytes) return await stop({ kind: "too_large", maxBytes: options.maxBytes });
      failure ??= await sink.write(text.encode(base64.push(chunk)));
      if (failure !== null) return await stop(failure);
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return await stop({ kind: "read_failed", message: `the body ended early: ${reason}` });
  }
  failure ??= await sink.write(text.encode(`${base64.end()}"`));
  const payload = failure ?? (await sink.finish());
  return payload.kind === "inline" || payload.kind === "r2" ? { kind: "ok", payload } : await stop(payload);
}
