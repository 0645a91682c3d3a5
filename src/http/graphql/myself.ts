// `myself`: who the key is, and its endpoints.
import { ok } from "../../core/failure.ts";
import type { GraphQlField } from "../../core/manage/graphql-document.ts";
import { RUNPOD_PAGE_MAX } from "../../core/manage/limits.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { listManaged } from "../../db/managed-endpoints.ts";
import type { ManageContext } from "../../manage/context.ts";
import { notServed, type Resolved } from "./call.ts";
import { showGraphQlEndpoint } from "./endpoints.ts";

/** Members that a tenant has none of: RunPod's client looks through the volumes of its user. */
const EMPTY: ReadonlyMap<string, unknown> = new Map(Object.entries({ pubKey: null, email: null, networkVolumes: [] }));

const IN_PLACE: ReadonlyMap<string, string> = new Map([["pods", "an endpoint with workers of your own"]]);

export async function myself(
  context: ManageContext,
  _args: unknown,
  selection: readonly GraphQlField[],
): Promise<Resolved> {
  const { caller, env } = context;
  const members: [string, unknown][] = [];
  for (const { name } of selection) {
    if (name === "id") members.push([name, caller.tenantId]);
    else if (EMPTY.has(name)) members.push([name, EMPTY.get(name)]);
    else if (name !== "endpoints")
      return notServed(`myself.${name}`, IN_PLACE.get(name) ?? "RunPod's REST routes under /v2");
    else {
      // GraphQL has no pages here: clients get the newest ones.
      const page = { after: null, limit: RUNPOD_PAGE_MAX };
      const found = await askD1(() => listManaged(env.DB, caller.tenantId, page, caller.endpointIds));
      if (!found.ok) return found;
      members.push([name, await Promise.all(found.value.map((row) => showGraphQlEndpoint(context, row)))]);
    }
  }
  return ok(Object.fromEntries(members));
}
