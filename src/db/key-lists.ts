// The lists of a key, its scopes and its endpoints, which D1 has as texts.
import * as z from "zod";
import { type Scope, scopesSchema } from "../contract/identity.ts";

/** As they are stored. `endpointIds` null: the key is not for some endpoints only. */
export interface StoredLists {
  readonly scopes: string;
  readonly endpointIds: string | null;
}

export interface KeyLists {
  readonly scopes: readonly Scope[];
  readonly endpointIds: readonly string[] | null;
}

const endpointIdsSchema = z.array(z.string()).nullable();

export function parseLists({ scopes, endpointIds }: StoredLists): KeyLists {
  return {
    scopes: scopesSchema.parse(scopes.split(",")),
    endpointIds: endpointIdsSchema.parse(JSON.parse(endpointIds ?? "null")),
  };
}

/** The columns of these lists. */
export function listColumns({ scopes, endpointIds }: KeyLists) {
  return { scopes: scopes.join(","), endpoint_ids: endpointIds === null ? null : JSON.stringify(endpointIds) };
}
