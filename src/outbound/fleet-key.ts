// The key of a fleet's worker is derived from the pepper for its instance alone, and stored nowhere: its id is the id of the instance,
// so that a request shows whose it is, the edge checks it without D1, and it is of no use once the instance has no record any more.
import { apiKeyOf, parseApiKey } from "../core/access/api-key.ts";
import { isInstanceId } from "../core/fleet/instance-id.ts";

/** Whose worker has the key. */
export interface FleetWorker {
  readonly endpointId: string;
  readonly instanceId: string;
}

const HMAC = { name: "HMAC", hash: "SHA-256" };
const encoder = new TextEncoder();
/** The pepper stays the same for the life of an isolate. */
let imported: { readonly pepper: string; readonly key: Promise<CryptoKey> } | undefined;

/** The key of the worker of an instance. The id of the instance is one of core/fleet/instance-id.ts. */
export async function makeFleetKey(pepper: string, { endpointId, instanceId }: FleetWorker): Promise<string> {
  if (!isInstanceId(instanceId)) throw new Error(`"${instanceId}" is not the id of an instance`);
  // Neither id can contain the line break.
  const message = encoder.encode(`fleet worker v1\n${endpointId}\n${instanceId}`);
  const secret = new Uint8Array(await crypto.subtle.sign(HMAC, await fleetKey(pepper), message));
  return apiKeyOf(instanceId, secret);
}

/**
 * The id of the instance whose key this is; null: it is no key of a worker of this endpoint's fleet, such as one that is stored. Only
 * the endpoint's broker has the record by which the instance is still there.
 */
export async function instanceOfKey(pepper: string, endpointId: string, key: string): Promise<string | null> {
  const id = parseApiKey(key)?.id;
  // All but one in 680 of the stored keys have a capital letter in their id, and cost no derivation.
  if (id === undefined || !isInstanceId(id)) return null;
  const genuine = await makeFleetKey(pepper, { endpointId, instanceId: id });
  return crypto.subtle.timingSafeEqual(encoder.encode(genuine), encoder.encode(key)) ? id : null;
}

/** Fleets have a key of their own, because stored API keys are digested under the pepper itself. */
function fleetKey(pepper: string): Promise<CryptoKey> {
  if (imported?.pepper !== pepper) imported = { pepper, key: deriveKey(pepper) };
  return imported.key;
}

async function deriveKey(pepper: string): Promise<CryptoKey> {
  const master = await crypto.subtle.importKey("raw", encoder.encode(pepper), HMAC, false, ["sign"]);
  const derived = await crypto.subtle.sign(HMAC, master, encoder.encode("waybill fleet worker v1"));
  return crypto.subtle.importKey("raw", derived, HMAC, false, ["sign"]);
}
