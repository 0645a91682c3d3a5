// The body of a request: for whoever reads it, in one go where it says that it is small, because each turn of a stream costs more
// than all bytes of a usual request; and what nobody has read of it, which is taken before the answer.
import { REST_MAX_MS } from "../../core/limits.ts";
import { readShared } from "../../payload/body-reader.ts";
import type { BodySource } from "../../payload/envelope.ts";
import { discardAll } from "./pipes.ts";

const SMALL_BODY_MAX_BYTES = 64 * 1024;

/** The body, or its bytes; null when there is none. One whose client goes away in its middle fails when it is read. */
export async function bodyOf(request: Request): Promise<BodySource> {
  if (!isSmall(request)) return request.body === null ? null : readShared(request.body);
  try {
    return new Uint8Array(await request.arrayBuffer());
  } catch (error) {
    return new ReadableStream({ start: (controller) => controller.error(error) });
  }
}

/** The body as it comes; null when there is none. workerd makes one, of no bytes, of `content-length: 0` too. */
export function bodyStreamOf({ body, headers }: Request): ReadableStream<Uint8Array> | null {
  return headers.get("content-length") === "0" ? null : body;
}

/**
 * Takes what nobody has read of a request, for at most REST_MAX_MS; to be called before it is answered. Without it workerd closes
 * the connection soon after the answer, and of a client that sends all of its request first the answer is lost with it.
 */
export async function takeRest(request: Request): Promise<void> {
  const { body } = request;
  // Who still reads it, or has read it to its end, has locked it. workerd itself takes as much as a small one has.
  if (body === null || body.locked || isSmall(request)) return;
  await discardAll(body, AbortSignal.timeout(REST_MAX_MS));
}

function isSmall({ headers }: Request): boolean {
  return Number(headers.get("content-length") ?? Number.NaN) <= SMALL_BODY_MAX_BYTES;
}
