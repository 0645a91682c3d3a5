// The body of a request for whoever reads it: in one go where it says that it is small. Each turn of a stream costs more than
// all bytes of a usual request.
import type { BodySource } from "../payload/envelope.ts";

const SMALL_BODY_MAX_BYTES = 64 * 1024;

/** The body, or its bytes; null when there is none. One whose client goes away in its middle fails when it is read. */
export async function bodyOf(request: Request): Promise<BodySource> {
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  if (!(length <= SMALL_BODY_MAX_BYTES)) return request.body;
  try {
    return new Uint8Array(await request.arrayBuffer());
  } catch (error) {
    return new ReadableStream({ start: (controller) => controller.error(error) });
  }
}
