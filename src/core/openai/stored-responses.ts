// The Responses API can store its responses and continue stored ones. All tenants share that store through one
// credential, so a request that comes through the usual list of routes is made to store nothing: OpenAI stores a
// response unless the request forbids it, and any tenant could use the id of a stored response or of an item in it.
// Fields that name stored things are refused, and a missing `store` is added as false; every other byte stays.
import { allowsRoute } from "./routes.ts";

/** Field names in the form of foldName, and the raw values with which nothing is stored. */
const KEEPS_NOTHING: Readonly<Record<string, readonly string[]>> = {
  store: ["false"],
  previous_response_id: ["null"],
  conversation: ["null"],
  // A background response is stored for its client to fetch, and runs on after the call and its bill have ended.
  background: ["false", "null"],
};

export const STORED_FIELDS: readonly string[] = Object.keys(KEEPS_NOTHING);

/** The form in which servers that ignore case compare names: Go also takes the long s for an s. */
export function foldName(name: string): string {
  return name.toUpperCase().toLowerCase();
}

/** Must a request to this path store nothing? Not if the operator has opened the routes of stored responses. */
export function keepsNothing(routes: string, path: string): boolean {
  return /^\/v1\/responses\/?$/.test(path) && !allowsRoute(routes, "GET", "/v1/responses/any");
}

/** Checks all members of one request, also equal names, because parsers differ in which of two counts. */
export class StoredFields {
  /** The first member that is refused; null: none is. */
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

  /** The text to insert before the end of the object: a `store` member, or nothing if the request has one. */
  addition(isEmpty: boolean): string {
    return this.#hasStore ? "" : `${isEmpty ? "" : ","}"store":false`;
  }
}
