// The Responses API can keep what it answers, and go on from what was kept. Behind one credential all tenants share that store,
// so a request that comes through the usual list of routes is made to keep nothing: OpenAI stores a response unless it is told
// not to, and an id of a stored one, or of an item in it, is worth as much in the hands of another tenant. What names stored
// things is refused, and `store` is set where the request leaves it out; every other byte stays.
import { allowsRoute } from "./routes.ts";

/** Names as foldName makes them, and the raw values that keep nothing. */
const KEEPS_NOTHING: Readonly<Record<string, readonly string[]>> = {
  store: ["false"],
  previous_response_id: ["null"],
  conversation: ["null"],
  // A response in the background is stored to be fetched, and runs on when its client and its bill have ended.
  background: ["false", "null"],
};

export const STORED_FIELDS: readonly string[] = Object.keys(KEEPS_NOTHING);

/** As servers compare names that do not tell cases apart: Go takes the long s for an s, too. */
export function foldName(name: string): string {
  return name.toUpperCase().toLowerCase();
}

/** Must a request to this path keep nothing? Not where the operator has opened the routes of stored responses by name. */
export function keepsNothing(routes: string, path: string): boolean {
  return /^\/v1\/responses\/?$/.test(path) && !allowsRoute(routes, "GET", "/v1/responses/any");
}

/** Looks at the members of one request, at two of one name both: parsers differ in which of them counts. */
export class StoredFields {
  /** The first that is refused. */
  problem: { readonly field: string; readonly message: string } | null = null;
  #hasStore = false;

  see(name: string, text: string): void {
    const field = foldName(name);
    const allowed = Object.hasOwn(KEEPS_NOTHING, field) ? KEEPS_NOTHING[field] : undefined;
    if (allowed === undefined) return;
    if (name === "store") this.#hasStore = true;
    if (allowed.includes(text.trim())) return;
    const message = `must be ${allowed.join(" or ")} or left out: this endpoint keeps no responses`;
    this.problem ??= { field: name, message };
  }

  /** The member to put in before the end of the object: nothing, where it is there. */
  addition(isEmpty: boolean): string {
    return this.#hasStore ? "" : `${isEmpty ? "" : ","}"store":false`;
  }
}
