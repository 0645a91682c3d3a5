// What a provider of machines is asked, and what its answers mean. Each driver sorts what its vendor says into these kinds
// (src/fleet), so that nothing else depends on a vendor.

/** A machine as its provider shows it. */
export interface Listed {
  /** The name that we gave it: `wb-{endpoint}-{instance}`. */
  readonly name: string;
  /** The provider's own id. */
  readonly ref: string;
  readonly status: "creating" | "running" | "stopped" | "ended" | "failed";
  /** What it costs while it runs, nano-dollars an hour; null: the provider does not say. */
  readonly priceNanodollarsPerHour: number | null;
  /** Where a load-balanced worker is called; null: it is not, or not yet. */
  readonly url: string | null;
  /** The last words of a worker that failed, or what the provider says of it; null: nothing. */
  readonly detail: string | null;
}

export type ProviderOperation = "create" | "start" | "stop" | "end" | "list";

/** Why something was not done. `detail` is one sentence for people. */
export type Refusal =
  /** There is no such machine to be had at this moment. */
  | { readonly kind: "no_capacity"; readonly detail: string }
  /** The request itself is wrong, such as an image that does not exist: the same request will not be taken later. */
  | { readonly kind: "bad_config"; readonly detail: string }
  /** The account has no money, or its quota is used up. */
  | { readonly kind: "unpaid"; readonly detail: string }
  /** The credential is refused. */
  | { readonly kind: "denied"; readonly detail: string }
  /** Too many calls. */
  | { readonly kind: "wait"; readonly retryAfterMs: number | null; readonly detail: string }
  /** It could not be reached, so that surely nothing was done. */
  | { readonly kind: "unreachable"; readonly detail: string }
  /** It may have been done: the answer was lost, or was an error of the server. */
  | { readonly kind: "unclear"; readonly detail: string };

/** `gone`: there is no such machine (any more). `instance` of `done`: the machine, where the provider shows it. */
export type ProviderAnswer =
  | Refusal
  | { readonly kind: "done"; readonly instance: Listed | null }
  | { readonly kind: "gone" }
  | { readonly kind: "listed"; readonly instances: readonly Listed[] };

/** `wb-` and no more than 48 characters: the shortest names that vendors take have 63. */
export function instanceName(endpointId: string, instanceId: string): string {
  return `${namePrefix(endpointId)}${instanceId}`;
}

/** What the names of all machines of the endpoint begin with. */
export function namePrefix(endpointId: string): string {
  return `wb-${endpointId}-`;
}
