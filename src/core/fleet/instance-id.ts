// The id of one machine of a fleet. It is part of the machine's name at its provider, and the id of its worker's key, so it has the
// form that both take: names of Kubernetes have no capital letters, and the id of a key has twelve characters.

const ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz";
/** 62 bits. */
const CHARS = 12;
const INSTANCE_ID = new RegExp(`^[${ALPHABET}]{${CHARS}}$`);

/** Random bytes for one id. Bytes over 251 are skipped, as they would favour some characters; so some are spare. */
export const INSTANCE_ID_RANDOM_BYTES = 32;

/** An id from random bytes (INSTANCE_ID_RANDOM_BYTES of them). */
export function makeInstanceId(random: Uint8Array): string {
  const fair = [...random].filter((byte) => byte < 252).map((byte) => ALPHABET.charAt(byte % ALPHABET.length));
  if (fair.length < CHARS) throw new Error("too few random bytes for the id of an instance");
  return fair.slice(0, CHARS).join("");
}

export function isInstanceId(text: string): boolean {
  return INSTANCE_ID.test(text);
}
