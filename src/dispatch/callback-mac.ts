// A MAC distinguishes an upstream's callback from a forged one. It covers the ids in the callback's path, under a key
// derived from the pepper, and is checked first, so that a stranger's calls cost neither D1 nor an object.
import type { Assignment } from "../contract/dispatch.ts";

/** The ids that the path of a callback contains. */
export type CallbackCall = Pick<Assignment, "endpointId" | "jobId" | "lease">;

const HMAC = { name: "HMAC", hash: "SHA-256" };
const MAC = /^[0-9a-f]{64}$/;
const encoder = new TextEncoder();
/** The pepper stays the same for the life of an isolate. */
let callbackKey: Promise<CryptoKey> | undefined;

export async function signCallback(pepper: string, call: CallbackCall): Promise<string> {
  callbackKey ??= deriveKey(pepper);
  return new Uint8Array(await crypto.subtle.sign(HMAC, await callbackKey, messageOf(call))).toHex();
}

/** Did we make this callback address? The check takes the same time for any MAC of the right form. */
export async function isGenuineCallback(pepper: string, call: CallbackCall, mac: string): Promise<boolean> {
  if (!MAC.test(mac)) return false;
  callbackKey ??= deriveKey(pepper);
  return crypto.subtle.verify(HMAC, await callbackKey, Uint8Array.fromHex(mac), messageOf(call));
}

/** The MACs have a key of their own, because API keys are digested under the pepper itself. */
async function deriveKey(pepper: string): Promise<CryptoKey> {
  const master = await crypto.subtle.importKey("raw", encoder.encode(pepper), HMAC, false, ["sign"]);
  const derived = await crypto.subtle.sign(HMAC, master, encoder.encode("waybill callback v1"));
  return crypto.subtle.importKey("raw", derived, HMAC, false, ["sign", "verify"]);
}

/** The ids are joined by a slash, because no id in a path can contain one. */
function messageOf({ endpointId, jobId, lease }: CallbackCall): Uint8Array {
  return encoder.encode(`${endpointId}/${jobId}/${lease}`);
}
