// The names of an endpoint in a path: its id, or its slug, which must not have the form of an id.
import { toHex } from "../bytes/hex.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;
const ID = /^[0-9a-f]{16}$/;

/** Random bytes of a new id. */
export const ENDPOINT_ID_BYTES = 8;

/** An id from random bytes (ENDPOINT_ID_BYTES of them). */
export function makeEndpointId(random: Uint8Array): string {
  return toHex(random);
}

/** Can an endpoint have this id or slug? No endpoint has any other name, so D1 need not be asked. */
export function isEndpointName(text: string): boolean {
  return NAME.test(text);
}

/** Why an endpoint may not get this slug, as the rest of a sentence; null: it may. */
export function slugProblem(slug: string): string | null {
  if (!isEndpointName(slug)) return "may hold letters, digits, - and _ only";
  return ID.test(slug) ? "has the form of an endpoint id" : null;
}
