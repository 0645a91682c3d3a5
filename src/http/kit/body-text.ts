// The body of a management call as text.
import { fail, ok, type Result } from "../../core/failure.ts";
import { MANAGE_BODY_MAX_BYTES } from "../../core/manage/limits.ts";

/** "" where there is no body. It is read no further than its limit. */
export async function readBodyText(request: Request): Promise<Result<string>> {
  if (request.body === null) return ok("");
  const decoder = new TextDecoder();
  let text = "";
  let sizeBytes = 0;
  for await (const chunk of request.body.values({ preventCancel: true })) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > MANAGE_BODY_MAX_BYTES) return fail({ kind: "too_large", maxBytes: MANAGE_BODY_MAX_BYTES });
    text += decoder.decode(chunk, { stream: true });
  }
  return ok(text + decoder.decode());
}
