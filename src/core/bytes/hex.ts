// Bytes as hexadecimal text. Workers have Uint8Array.toHex; the command line's Node has it only behind a flag.

/** In lower case, two characters a byte. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
