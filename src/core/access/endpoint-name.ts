// The names of an endpoint in a path: its id, or its slug, which must not have the form of an id.
import { toHex } from "../bytes/hex.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;
const ID = /^[0-9a-f]{16}$/;

/**
 * The first words of RunPod's management paths, such as /v2/serverless, and of the paths of its newer clients (`flash`, `batch`):
 * both planes share one host, so no endpoint has such a name.
 */
export const RESERVED_NAMES: ReadonlySet<string> = new Set([
  "account",
  "pods",
  "clusters",
  "serverless",
  "templates",
  "network-volumes",
  "global-volumes",
  "registries",
  "catalog",
  "billing",
  "tags",
  "flash",
  "batch",
]);

/** Random bytes of a new id. */
export const ENDPOINT_ID_BYTES = 8;

/** An id from random bytes (ENDPOINT_ID_BYTES of them). */
export function makeEndpointId(random: Uint8Array): string {
  return toHex(random);
}

/** Can an endpoint have this id or slug? No endpoint has any other name, so D1 need not be asked. */
export function isEndpointName(text: string): boolean {
  return NAME.test(text) && !RESERVED_NAMES.has(text.toLowerCase());
}

/** Why an endpoint may not get this slug, as the rest of a sentence; null: it may. */
export function slugProblem(slug: string): string | null {
  if (!NAME.test(slug)) return "may hold letters, digits, - and _ only";
  if (!isEndpointName(slug)) return "is a word of the management API";
  return ID.test(slug) ? "has the form of an endpoint id" : null;
}
