// Are the headers of an answer larger than anybody needs? A client that received all of them would fail.
import { ANSWER_HEADERS_MAX_BYTES } from "../core/limits.ts";

export function hasLargeHeaders(headers: Headers): boolean {
  let bytes = 0;
  for (const [name, value] of headers) bytes += name.length + value.length;
  return bytes > ANSWER_HEADERS_MAX_BYTES;
}
