// The body of a request. A body that announces a small size is read in one go, because each turn of a stream costs more
// than all bytes of a usual request. The part of a body that no code has read is taken before the answer.
import { REST_MAX_MS } from "../../core/limits.ts";
import { readShared } from "../../payload/body-reader.ts";
import type { BodySource } from "../../payload/envelope.ts";
import { discardAll } from "./pipes.ts";

const SMALL_BODY_MAX_BYTES = 64 * 1024;

/** The body as a stream or as bytes; null when there is none. Reading fails if the client leaves in its middle. */
export async function bodyOf(request: Request): Promise<BodySource> {
  if (!isSmall(request)) return request.body === null ? null : readShared(request.body);
  try {
    return new Uint8Array(await request.arrayBuffer());
  } catch (error) {
    return new ReadableStream({ start: (controller) => controller.error(error) });
  }
}

/** The body as a stream; null when there is none. workerd makes an empty body for `content-length: 0` too. */
export function bodyStreamOf({ body, headers }: Request): ReadableStream<Uint8Array> | null {
  return headers.get("content-length") === "0" ? null : body;
}

/**
 * Takes the unread rest of a request, for at most REST_MAX_MS; to be called before the answer. Without it workerd
 * closes the connection soon after the answer, and a client that first sends its whole request loses the answer too.
 */
export async function takeRest(request: Request): Promise<void> {
  const { body } = request;
  // A body that is being read or was read to its end is locked. workerd itself takes as much as a small body has.
  if (body === null || body.locked || isSmall(request)) return;
  await discardAll(body, AbortSignal.timeout(REST_MAX_MS));
}

function isSmall({ headers }: Request): boolean {
  return Number(headers.get("content-length") ?? Number.NaN) <= SMALL_BODY_MAX_BYTES;
}
