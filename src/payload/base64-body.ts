// Reads a posted body of any kind as a JSON string of its base64, because every payload must be a JSON value.
import { Base64Encoder } from "./base64.ts";
import { type BodySource, type ReadFailure, type StoredBody, storeBody, type ValueOptions } from "./store-body.ts";

/** `maxBytes` bounds the body, not its base64. After a failure nothing is left in R2. */
export async function readBase64(
  stream: NonNullable<BodySource>,
  options: ValueOptions,
): Promise<StoredBody | ReadFailure> {
  const text = new TextEncoder();
  const base64 = new Base64Encoder();
  let start = '"';
  const take = (piece: Uint8Array): Uint8Array => {
    const bytes = text.encode(start + base64.push(piece));
    start = "";
    return bytes;
  };
  const finish = (): Uint8Array => text.encode(`${start}${base64.end()}"`);
  return await storeBody(stream, options, { take, finish }, 2 * options.maxBytes);
}
