// Are the headers of an answer more than anybody needs? A client that is given all of them would choke on them.
import { ANSWER_HEADERS_MAX_BYTES } from "../core/limits.ts";

export function hasLargeHeaders(headers: Headers): boolean {
  let bytes = 0;
  for (const [name, value] of headers) bytes += name.length + value.length;
  return bytes > ANSWER_HEADERS_MAX_BYTES;
}
