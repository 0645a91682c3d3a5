// Draws a new API key, and what the database keeps of it.
import { readConfig } from "../config.ts";
import { KEY_RANDOM_BYTES, makeApiKey } from "../core/access/api-key.ts";
import { toHex } from "../core/bytes/hex.ts";
import { digestKey } from "../outbound/credentials.ts";

/** A key that nobody has yet. */
export interface DrawnKey {
  readonly id: string;
  /** For the answer of its creation alone. */
  readonly key: string;
  readonly digest: string;
}

export async function drawKey(env: Env): Promise<DrawnKey> {
  const { id, key } = makeApiKey(crypto.getRandomValues(new Uint8Array(KEY_RANDOM_BYTES)));
  return { id, key, digest: toHex(await digestKey(key, readConfig(env).pepper)) };
}
